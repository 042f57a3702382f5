/**
 * One target of an {@linkcode RSync}, as the sender sees it: what it is sent, what it wants, its checksums, its errors, how far it is. A target that
 * is lost takes whatever it is sent without complaint, so that the others go on.
 *
 * @module
 */

import type { Connection } from "../mod.ts";
import { BlockSums } from "./rsync_blocks.ts";
import type { Answer, Failure, List, Message, ReceiveInit, Small, Want } from "./rsync_messages.ts";
import { blockSize, isCount, isList, refuse, RSYNC } from "./rsync_messages.ts";
import { Outlet } from "./rsync_outlet.ts";
import type { receiveTree } from "./rsync_receiver.ts";

/** What a target is and what is told of it. */
export interface TargetInit {
  readonly connection: Connection;
  readonly destination: string;
  readonly receive: ReceiveInit;
  readonly signal: AbortSignal | undefined;
  /** Something happened to a file, or was deleted. */
  readonly tell: (what: "sent" | "failed" | "deleted", path: string, error?: Error) => void;
}

/** A file on its way. */
interface UnderWay {
  readonly path: string;
  readonly kind: "file" | "directory" | "link";
  readonly size: number;
}

/** Checksums on their way. */
interface Coming {
  readonly sums: BlockSums;
  /** Whether the last ones came that were asked for. */
  all: boolean;
  /** Whether these are the weak ones. */
  weak: boolean;
  /** Whether there are none after all. */
  none: boolean;
  /** Somebody waits for more. */
  more?: () => void;
}

/** What a target wants of one portion. */
export type Wants = ReadonlyMap<number, Want[1]>;

const NOTHING: Wants = new Map();

/** An error text of the other side, not longer than an error should be. */
const said = (text: unknown): string => String(text).slice(0, 1000);

/** One target. */
export class Target {
  readonly #init: TargetInit;
  readonly #outlet: Outlet<Message> = new Outlet();
  readonly #portions = new Map<number, { resolve(wants: Wants): void; readonly count: number }>();
  /** Checksums that come, or came ahead of their turn. */
  readonly #sums = new Map<number, Coming>();
  /** Files whose checksums are to be asked for, in the order of their turns, with the sizes of their older versions. */
  readonly #unasked: [id: number, older: number][] = [];
  /** All files that were listed and are not settled, and directories, for errors. */
  readonly #names = new Map<number, UnderWay>();
  readonly #ended: Promise<void>;
  #small: Small[] = [];
  #smallBytes = 0;
  /** Their contents; those that stand one behind the other in one buffer are one. */
  #contents: Uint8Array[] = [];
  #over = false;
  /** Why it is lost. */
  lost: Error | undefined;
  /** Bytes of content that were sent, and those of files that are settled. */
  sent = 0;
  settled = 0;
  /** How many files were sent, and were there already. */
  files = 0;
  unchanged = 0;
  deleted = 0;

  constructor(init: TargetInit) {
    this.#init = init;
    const { connection, signal, destination, receive } = init;
    type Far = { receiveTree: typeof receiveTree };
    const far = (signal ? connection.with({ signal }) : connection).import<Far>("@x/across/rsync");
    const stream = far.receiveTree(destination, receive, this.#outlet);
    this.#ended = this.#listen(stream).catch((error) => this.lose(error));
  }

  /** Gives it up. */
  lose(error: unknown): void {
    if (this.lost || this.#over) return;
    this.lost = error instanceof Error ? error : new Error(String(error));
    this.#outlet.end(this.lost);
    for (const { resolve } of this.#portions.values()) resolve(NOTHING);
    for (const { more } of this.#sums.values()) more?.();
    this.#portions.clear();
    this.#sums.clear();
    this.#names.clear();
    this.#unasked.length = 0;
    this.#small = [];
    this.#contents = [];
  }

  /** Sends something. Returns what has to be waited for, if anything has. Never rejects. */
  write(message: Message): Promise<void> | undefined {
    return message instanceof Uint8Array ? this.#outlet.bytes(message) : this.#outlet.add(message);
  }

  /** Sends content of the file that was opened; it must not be changed before it has {@linkcode passed}. */
  data(bytes: Uint8Array): Promise<void> | undefined {
    this.sent += bytes.length;
    return this.write(bytes);
  }

  /** How far it was told by now. */
  get mark(): number {
    return this.#outlet.mark;
  }

  /** Resolves when everything before a mark has left. Never rejects. */
  passed(mark: number): Promise<void> | undefined {
    return this.#outlet.passed(mark);
  }

  /** Sends a portion of a list, when there is room. Its wants come later. */
  async list(portion: List, prefix: string): Promise<{ readonly wants: Promise<Wants> }> {
    if (this.lost) return { wants: Promise.resolve(NOTHING) };
    const { first, entries } = portion;
    for (let i = 0; i < entries.length; i++) {
      const { name, size = 0, directory, link } = entries[i]!;
      const kind = directory ? "directory" : link === undefined ? "file" : "link";
      this.#names.set(first + i, { path: prefix + name, kind, size });
    }
    const wants = new Promise<Wants>((resolve) => this.#portions.set(first, { resolve, count: entries.length }));
    await this.write(portion);
    return { wants: this.lost ? Promise.resolve(NOTHING) : wants };
  }

  /** Has it compute checksums of the older versions that it has, some files ahead. */
  prepare(wants: Wants): void {
    for (const [id, older] of wants) if (typeof older === "number") this.#unasked.push([id, older]);
    this.#ask();
  }

  #ask(): void {
    while (this.#sums.size < RSYNC.signing / 2 && this.#unasked.length > 0) {
      const [id, older] = this.#unasked.shift()!;
      this.#sums.set(id, { sums: new BlockSums(older, blockSize(older)), all: false, weak: false, none: false });
      this.write({ sign: id });
    }
  }

  /** The checksums of the older version of a file, as far as they came; undefined if there is nothing to compare with. */
  async sums(id: number): Promise<BlockSums | undefined> {
    if (this.#sums.get(id)?.sums.filled === 0) await this.more(id);
    const it = this.#sums.get(id);
    return it && !it.none ? it.sums : undefined;
  }

  /**
   * Waits for more of them.
   *
   * @throws {Error} If there are none after all.
   */
  async more(id: number): Promise<void> {
    const it = this.#sums.get(id);
    if (this.lost || !it) return;
    if (!it.all) await new Promise<void>((resolve) => it.more = resolve);
    if (it.none && it.sums.filled > 0) throw new Error("The older version over there cannot be read any more");
  }

  /**
   * Asks for the weak ones as well, when all strong ones are there, and waits for some.
   *
   * @throws {Error} If there are none after all.
   */
  async weakSums(id: number): Promise<void> {
    const it = this.#sums.get(id);
    if (it && !it.weak) {
      it.weak = true;
      it.all = false;
      this.write({ sign: id, weak: true });
    }
    await this.more(id);
  }

  /** Checksums of a file are of no more use. The ones that still come must be let come. */
  async forget(id: number): Promise<void> {
    const at = this.#unasked.findIndex(([other]) => other === id);
    if (at >= 0) this.#unasked.splice(at, 1);
    while (!this.lost && this.#sums.get(id)?.all === false) await this.more(id).catch(() => {});
    this.#sums.delete(id);
    this.#ask();
  }

  /** Sends a small file, together with others. Gives what has to be waited for, if anything has. The content must not be changed any more. */
  small(file: Small, content: Uint8Array): Promise<void> | undefined {
    if (this.lost) return;
    const size = file[3] ?? 0;
    this.#small.push(file);
    this.#smallBytes += size;
    this.sent += size;
    const before = this.#contents.at(-1);
    if (before?.buffer === content.buffer && before.byteOffset + before.length === content.byteOffset) {
      this.#contents.splice(-1, 1, new Uint8Array(content.buffer, before.byteOffset, before.length + size));
    } else if (size > 0) this.#contents.push(content);
    return this.#small.length >= RSYNC.batchFiles || this.#smallBytes >= RSYNC.batch ? this.flush() : undefined;
  }

  /** Sends the small files that wait for others. */
  flush(): Promise<void> | undefined {
    if (this.#small.length === 0) return;
    const files = this.#small, contents = this.#contents;
    this.#small = [];
    this.#smallBytes = 0;
    this.#contents = [];
    let wait = this.write({ files });
    for (const bytes of contents) wait = this.write(bytes);
    return wait;
  }

  /** A file that it wants will not come. */
  async refuse(id: number, error: Error): Promise<void> {
    if (this.lost) return;
    this.#settle(id, error);
    await this.forget(id);
    await this.flush();
    await this.write({ close: id, error: error.message });
  }

  /** Everything was sent. Waits until it has arrived. */
  async end(): Promise<void> {
    await this.flush();
    this.write({ end: true });
    this.#outlet.end();
    await this.#ended;
  }

  #settle(id: number, error?: Error): void {
    const it = this.#names.get(id);
    if (!it && !(id === 0 && error)) return;
    this.#names.delete(id);
    this.settled += it?.size ?? 0;
    if (!error) this.files++;
    this.#init.tell(error ? "failed" : "sent", it?.path ?? ".", error);
  }

  /** Something of an entry failed over there. */
  #fail(list: unknown): void {
    if (!isList(list, RSYNC.wanted + RSYNC.portion)) refuse("errors that are none");
    for (const failure of list) {
      const [id, text] = (isList(failure, 2) ? failure : []) as Partial<Failure>;
      if (!isCount(id)) refuse("errors that are none");
      this.#settle(id, new Error(said(text)));
    }
  }

  async #listen(called: PromiseLike<ReadableStream<Answer>>): Promise<void> {
    const reader = (await called).getReader();
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        this.#take(value);
      }
      if (!this.#over) throw new Error("The receiver left before the end");
    } finally {
      reader.cancel().catch(() => {});
    }
  }

  #take(answer: Answer): void {
    if (this.lost) return;
    if (typeof answer !== "object" || answer === null || this.#over) refuse("something after the end");
    if ("listed" in answer) this.#listed(answer);
    else if ("sums" in answer) this.#summed(answer);
    else if ("done" in answer) {
      this.#fail(answer.failed);
      if (!isList(answer.done, RSYNC.wanted)) refuse("files that nobody sent");
      for (const id of answer.done) this.#settle(id as number);
    } else if ("ended" in answer) {
      // Of directories, whose numbers were kept for this.
      this.#fail(answer.failed);
      this.#over = true;
    } else refuse("something unknown");
  }

  #listed({ listed, wants, failed, deleted, kept }: Extract<Answer, { listed: number }>): void {
    const portion = this.#portions.get(listed);
    if (!portion || !isList(wants, portion.count)) refuse("wants that nobody asked for");
    const failures = new Set<number>();
    if (isList(failed, portion.count)) { for (const [id] of failed as readonly Failure[]) failures.add(id); }
    const wanted = new Map<number, Want[1]>();
    for (const want of wants) {
      const [id, older] = (isList(want, 2) ? want : []) as Partial<Want>;
      const fits = isCount(id) && id >= listed && id < listed + portion.count && this.#names.has(id) &&
        (older === undefined || older instanceof Uint8Array || isCount(older) && blockSize(older) > 0);
      if (!fits) refuse("wants that make no sense");
      wanted.set(id, older);
    }
    for (let id = listed; id < listed + portion.count; id++) {
      if (wanted.has(id) || failures.has(id)) continue;
      const it = this.#names.get(id);
      // Of directories there may be errors until the end.
      if (!it || it.kind === "directory") continue;
      this.#names.delete(id);
      if (it.kind === "link") continue;
      this.settled += it.size;
      this.unchanged++;
    }
    this.#fail(failed);
    if (Array.isArray(deleted)) {
      for (const path of deleted) {
        this.deleted++;
        this.#init.tell("deleted", said(path));
      }
    }
    if (Array.isArray(kept)) {
      for (const it of kept) this.#init.tell("failed", said(it?.[0]), new Error(said(it?.[1])));
    }
    // Until here it is there, for whoever waits to be told if all of it made no sense.
    this.#portions.delete(listed);
    portion.resolve(wanted);
  }

  #summed({ sums: id, bytes, last, none }: Extract<Answer, { sums: number }>): void {
    const waiting = this.#sums.get(id);
    if (!waiting || !(bytes instanceof Uint8Array)) refuse("checksums of nothing");
    const { sums, weak } = waiting;
    const fit = none === true || (weak ? sums.addWeak(bytes) : sums.add(bytes));
    if (waiting.all || !fit) refuse("checksums that do not fit");
    waiting.all = last === true;
    waiting.none = none === true;
    if (waiting.all && !waiting.none && !(weak ? sums.searchable : sums.complete)) refuse("too few checksums");
    waiting.more?.();
  }
}
