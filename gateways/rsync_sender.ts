/**
 * The sending end of an {@linkcode RSync}: lists the tree and reads each file once, for all targets that want it. They go in step: the slowest one
 * sets the pace, so that nothing has to be kept for it. What is said to one of them is in `rsync_target.ts`.
 *
 * @module
 */

import type { OpenFile, TreeFiles } from "../runtime/tree_files.ts";
import { Matcher } from "./rsync_blocks.ts";
import type { Step } from "./rsync_blocks.ts";
import type { Entry, List } from "./rsync_messages.ts";
import { RSYNC } from "./rsync_messages.ts";
import type { Portion } from "./rsync_scan.ts";
import type { Target, Wants } from "./rsync_target.ts";

/** A portion whose contents were not sent yet. */
interface Listed {
  readonly list: List;
  readonly prefix: string;
  readonly wants: Promise<readonly Wants[]>;
  /** Whether all targets have answered. */
  answered: boolean;
}

/** A target that wants a file, and what is known of the version that it has. */
interface Taker {
  readonly target: Target;
  readonly older: Uint8Array | number | undefined;
}

/** A large file on its way to one target. */
interface Flow {
  readonly target: Target;
  /** Finds what the target has already. */
  readonly matcher: Matcher | undefined;
  failed: Error | undefined;
}

const NOTHING = new Uint8Array(0);

/** Entries that are listed before anybody else has a turn: the other side is to have something to do while this one lists on. */
const TURN = 64;

/** How much small files are read to at a time. */
const PAGE = 2 * (RSYNC.small + RSYNC.batch);

/** Sends a tree. */
export class Sender {
  readonly #files: TreeFiles;
  readonly #root: string;
  readonly #targets: readonly Target[];
  readonly #progress: () => void;
  /** Where small files are read to, one behind the other, and how much of that is used. */
  #page: Uint8Array<ArrayBuffer> = NOTHING;
  #used = 0;
  /** What large files are read to: the one, while the other is sent. */
  readonly #buffers: Uint8Array<ArrayBuffer>[] = [NOTHING, NOTHING];
  /** Resolve when what was in them has left. */
  readonly #left: Promise<unknown>[] = [];
  /** What was listed so far. */
  listed = 0;
  bytes = 0;
  /** Whether that is everything. */
  complete = false;

  /**
   * @param files How files are read.
   * @param root The tree.
   * @param targets Where it goes.
   * @param progress Is called when something was sent.
   */
  constructor(files: TreeFiles, root: string, targets: readonly Target[], progress: () => void) {
    this.#files = files;
    this.#root = root;
    this.#targets = targets;
    this.#progress = progress;
  }

  /**
   * Sends everything, and waits until it has arrived. Never rejects because of a target.
   *
   * @param portions The list.
   * @param unlisted Is told what could not be listed.
   */
  async run(portions: Iterable<Portion>, unlisted: (path: string, error: unknown) => void): Promise<void> {
    const waiting: Listed[] = [];
    let ahead = 0, sinceTurn = 0;
    const sendFirst = async (): Promise<void> => {
      const listed = waiting.shift()!;
      ahead -= listed.list.entries.length + 1;
      await this.#contents(listed);
    };
    for (const { list, prefix, unlisted: errors } of portions) {
      for (const { path, error } of errors) unlisted(path, error);
      this.listed += list.entries.length;
      for (const { size = 0 } of list.entries) this.bytes += size;
      // The inner promises are wrapped, or awaiting the outer ones would await the answers, too.
      const wants = await Promise.all(this.#targets.map((target) => target.list(list, prefix)));
      const listed: Listed = { list, prefix, wants: Promise.all(wants.map((it) => it.wants)), answered: false };
      listed.wants.then(() => listed.answered = true);
      waiting.push(listed);
      ahead += list.entries.length + 1;
      sinceTurn += list.entries.length + 1;
      if (sinceTurn >= TURN) {
        sinceTurn = 0;
        await this.#files.turn(this.#root);
      }
      while (waiting.length > 0 && (waiting[0]!.answered || ahead > RSYNC.ahead)) await sendFirst();
      if (this.#targets.every(({ lost }) => lost)) return;
    }
    this.complete = true;
    while (waiting.length > 0) await sendFirst();
    await Promise.all(this.#targets.map((target) => target.end()));
  }

  async #contents({ list, prefix, wants: promised }: Listed): Promise<void> {
    const wants = await promised;
    const takers = new Map<number, Taker[]>();
    for (let i = 0; i < wants.length; i++) {
      const target = this.#targets[i]!;
      target.prepare(wants[i]!);
      for (const [id, older] of wants[i]!) {
        const list = takers.get(id);
        if (list) list.push({ target, older });
        else takers.set(id, [{ target, older }]);
      }
    }
    for (const id of [...takers.keys()].sort((a, b) => a - b)) {
      const live = takers.get(id)!.filter(({ target }) => !target.lost);
      const entry = list.entries[id - list.first]!;
      if (live.length > 0) await this.#file(id, `${this.#root}/${prefix}${entry.name}`, entry, live);
    }
    await Promise.all(this.#targets.map((target) => target.flush()));
    this.#progress();
  }

  async #file(id: number, path: string, entry: Entry, takers: readonly Taker[]): Promise<void> {
    let file: OpenFile | undefined;
    try {
      file = this.#files.open(path);
      const content = entry.size! <= RSYNC.small ? this.#readSmall(file, entry) : undefined;
      if (content) await this.#small(id, content, entry, takers);
      else await this.#large(id, file, takers);
    } catch (error) {
      const cause = error instanceof Error ? error : new Error(String(error));
      await Promise.all(takers.map(({ target }) => target.refuse(id, cause)));
    } finally {
      file?.close();
    }
  }

  async #small(id: number, content: Uint8Array, { mode, time }: Entry, takers: readonly Taker[]): Promise<void> {
    let digest: Uint8Array | undefined;
    for (const { target, older } of takers) {
      if (typeof older === "number") await target.forget(id);
      const same = older instanceof Uint8Array && equal(older, digest ??= this.#files.digest(content));
      const full = same
        ? target.small([id, mode, time, null], NOTHING)
        : target.small([id, mode, time, content.length], content);
      if (full) await full;
    }
  }

  /** Reads a file that was small when it was listed; undefined if it is not what it was then. */
  #readSmall(file: OpenFile, { size, time }: Entry): Uint8Array | undefined {
    // One byte more, to notice where there is one.
    const most = size! + 1;
    if (this.#page.length - this.#used < most) this.#page = new Uint8Array(PAGE), this.#used = 0;
    const at = this.#used;
    const read = file.readNow(this.#page, at, most), now = file.info();
    if (read !== size || now.size !== size || now.time !== time) return undefined;
    this.#used += read;
    return this.#page.subarray(at, at + read);
  }

  async #large(id: number, file: OpenFile, takers: readonly Taker[]): Promise<void> {
    const before = file.info();
    const { kind, size, mode, time } = before;
    if (kind !== "file") throw new Error("It is no file any more");
    let chunk = RSYNC.chunk;
    const flows = await Promise.all(takers.map(async ({ target, older }): Promise<Flow> => {
      await target.flush();
      const sums = typeof older === "number" ? await target.sums(id) : undefined;
      if (sums) chunk = Math.max(chunk, 2 * sums.block);
      await target.write({ open: id, size, mode, time });
      return {
        target,
        matcher: sums && new Matcher(sums, (bytes) => this.#files.digest(bytes)),
        failed: undefined,
      };
    }));
    let turn = 0, error: Error | undefined, at = 0;
    const send = async (bytes?: Uint8Array): Promise<void> => {
      const now = turn;
      await Promise.all(flows.map(async (flow) => {
        if (!flow.failed) await this.#flow(id, flow, bytes).catch((error) => flow.failed = error);
      }));
      this.#left[now] = Promise.all(flows.map(({ target }) => target.passed(target.mark)));
    };
    const piece = async (at: number): Promise<Uint8Array> => {
      const now = turn ^= 1;
      await this.#left[now];
      if (this.#buffers[now]!.length < chunk) this.#buffers[now] = new Uint8Array(chunk);
      const bytes = this.#buffers[now]!.subarray(0, Math.min(chunk, size - at));
      return bytes.subarray(0, await file.read(bytes, at));
    };
    try {
      let bytes = await piece(0);
      while (bytes.length > 0 && flows.some(({ target }) => !target.lost)) {
        at += bytes.length;
        // The next piece is read while this one is sent.
        const sent = send(bytes);
        const next = at < size ? piece(at) : Promise.resolve(NOTHING);
        next.catch(() => {});
        await sent;
        bytes = await next;
        this.#progress();
      }
      checkUnchanged(file, before, at);
      await send();
    } catch (cause) {
      error = cause instanceof Error ? cause : new Error(String(cause));
    }
    await Promise.all(flows.map(async ({ target, failed = error }) => {
      if (failed) return await target.refuse(id, failed);
      await target.forget(id);
      await target.write({ close: id });
    }));
  }

  /** Sends the next bytes of a file to one target; without bytes what its end tells. */
  async #flow(id: number, { target, matcher }: Flow, bytes: Uint8Array | undefined): Promise<void> {
    const say = async (steps: readonly Step[]): Promise<void> => {
      for (const step of steps) await ("data" in step ? target.data(step.data) : target.write(step));
    };
    if (!matcher) return await (bytes && target.data(bytes));
    const step = (more: Uint8Array): Promise<void> => say(bytes ? matcher.push(more) : matcher.end());
    await step(bytes ?? NOTHING);
    while (!target.lost && matcher.stalled) {
      await (matcher.searching ? target.weakSums(id) : target.more(id));
      await step(NOTHING);
    }
  }
}

/** @throws {Error} If a file is not what it was, or not all of it was read. */
function checkUnchanged(file: OpenFile, before: ReturnType<OpenFile["info"]>, read: number): void {
  const { size, time, changed } = file.info();
  if (read !== before.size || size !== before.size || time !== before.time || changed !== before.changed) {
    throw new Error("It was changed while it was read");
  }
}

function equal(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, i) => byte === other[i]);
}
