/**
 * One file that arrives: written under a name of its own beside where it belongs, from what comes and from the older version, and renamed when it is
 * whole. Which files arrive where is the business of `rsync_receiver.ts`.
 *
 * @module
 */

import type { EntryInfo, OpenFile, TreeFiles } from "../runtime/tree_files.ts";
import { weakSum } from "./rsync_blocks.ts";
import { blockSize, RSYNC } from "./rsync_messages.ts";

/** How much of an older version is read at a time. */
const PIECE = 1 << 20;

/** Tells temporary files of one process from those of others. */
const OURS = crypto.randomUUID().slice(0, 18);
let last = 0;

/** A path in a directory that nothing has yet, for what is not whole. */
export function temporary(directory: string): string {
  return `${directory}/.across-${OURS}-${(++last).toString(36)}.tmp`;
}

/** Which permissions of files are set: none that give others the rights of the owner. */
export const fileMode = (mode: number): number => mode & 0o777;

/** The older version of a file that arrives. */
export class Older {
  readonly path: string;
  readonly file: OpenFile;
  readonly info: EntryInfo;
  #summing = false;
  #closed = false;

  /** @throws {Error} If it cannot be read. */
  constructor(files: TreeFiles, path: string) {
    this.path = path;
    this.file = files.open(path);
    this.info = this.file.info();
    if (this.info.kind === "file") return;
    this.file.close();
    throw new Error("It is no file any more");
  }

  /**
   * Computes the checksums of its blocks, some at a time. What it reads next comes in meanwhile.
   *
   * @param files What makes digests.
   * @param size What it was said to have.
   * @param weak Whether the weak ones are wanted, instead of the strong ones.
   */
  async *sums(files: TreeFiles, size: number, weak: boolean): AsyncGenerator<{ bytes: Uint8Array; last: boolean }> {
    const block = blockSize(size), count = Math.ceil(size / block);
    const most = Math.max(block, Math.min(PIECE, count * block));
    let piece = new Uint8Array(most), other = new Uint8Array(most);
    const read = (first: number): Promise<number> => {
      const length = Math.min(most, size - first * block);
      const done = this.file.read(other.subarray(0, length), first * block);
      done.catch(() => {});
      return done;
    };
    this.#summing = true;
    let next = read(0);
    try {
      for (let first = 0; first < count;) {
        const length = Math.min(most, size - first * block);
        if (await next < length) throw new Error("It became shorter");
        if (this.#closed) throw new Error("It is not wanted any more");
        [piece, other] = [other, piece];
        const some = Math.ceil(length / block);
        if (first + some < count) next = read(first + some);
        const bytes = new Uint8Array((weak ? 4 : RSYNC.strong) * some), view = new DataView(bytes.buffer);
        for (let i = 0; i < some; i++) {
          const end = Math.min((i + 1) * block, length);
          if (weak) view.setUint32(4 * i, weakSum(piece, i * block, end), true);
          else bytes.set(files.digest(piece.subarray(i * block, end)).subarray(0, RSYNC.strong), RSYNC.strong * i);
        }
        first += some;
        yield { bytes, last: first === count };
      }
    } finally {
      await next.catch(() => {});
      this.#summing = false;
      if (this.#closed) this.file.close();
    }
  }

  /** Whether it is still what it was. */
  same(info: EntryInfo | undefined): boolean {
    const { identity, size, time, changed } = this.info;
    return info?.identity === identity && info.size === size && info.time === time && info.changed === changed;
  }

  /** Closes it; while checksums are computed, as soon as they can be left. */
  close(): void {
    this.#closed = true;
    if (!this.#summing) this.file.close();
  }
}

/** What is known of the file before its content comes. */
export interface Announced {
  /** Where it belongs, and the directory that this is in. */
  readonly path: string;
  readonly directory: string;
  readonly size: number;
  readonly mode: number;
  readonly time: number;
}

/** A large file that arrives. */
export class Arrival {
  readonly #files: TreeFiles;
  readonly #announced: Announced;
  readonly #older: Older | undefined;
  #compared = false;
  readonly #temporary: string;
  #file: OpenFile | undefined;
  /** Up to where it is known. */
  #at = 0;

  /**
   * @param files Where it is written.
   * @param announced What it is to become.
   * @param older The version that is there, if anything of it may be used. It is closed with the arrival.
   */
  constructor(files: TreeFiles, announced: Announced, older: Older | undefined) {
    this.#files = files;
    this.#announced = announced;
    this.#older = older;
    this.#temporary = temporary(announced.directory);
  }

  /** The older version, if its weak checksums may be asked for: once. */
  compare(): Older | undefined {
    if (this.#compared) return undefined;
    this.#compared = true;
    return this.#older;
  }

  /** The next bytes. */
  async data(bytes: Uint8Array): Promise<void> {
    this.#advance(bytes.length);
    const file = this.#file ?? await this.#begin();
    await file.write(bytes, this.#at - bytes.length);
  }

  /** The next bytes are those of blocks of the older version. */
  async copy(first: number, count: number): Promise<void> {
    const older = this.#older;
    const block = older ? blockSize(older.info.size) : 0;
    const from = first * block, end = Math.min((first + count) * block, older?.info.size ?? 0);
    if (!older || end <= from) throw new Error("Blocks were to be copied that are not there");
    const to = this.#at;
    this.#advance(end - from);
    // While everything is where it was, there is nothing to be done; and a clone has it there already.
    if (from === to) return;
    const file = this.#file ?? await this.#begin();
    const piece = new Uint8Array(Math.min(PIECE, end - from));
    for (let at = from; at < end;) {
      const part = piece.subarray(0, Math.min(piece.length, end - at));
      if (await older.file.read(part, at) < part.length) throw new Error("The older version became shorter");
      await file.write(part, to + at - from);
      at += part.length;
    }
  }

  #advance(length: number): void {
    this.#at += length;
    if (this.#at > this.#announced.size) throw new Error("It is larger than was announced");
  }

  /** Makes the temporary file: a clone of the older version where there is one, which then need not be read to be copied. */
  async #begin(): Promise<OpenFile> {
    const older = this.#older;
    if (!older) return this.#file = this.#files.create(this.#temporary, 0o600);
    try {
      if (!older.same(this.#files.look(older.path))) throw changedThere();
      this.#file = await this.#files.clone(older.path, this.#temporary);
      if (!older.same(this.#files.look(older.path))) throw changedThere();
    } catch (error) {
      this.#drop();
      throw error;
    }
    return this.#file;
  }

  /** All of it came. Puts it where it belongs. */
  async finish(): Promise<void> {
    const { path, size, mode, time } = this.#announced;
    const older = this.#older;
    if (this.#at !== size) throw new Error("It is shorter than was announced");
    if (older && !this.#file && size === older.info.size) {
      // Nothing has changed but, perhaps, what is known of it.
      if (!older.same(this.#files.look(path))) throw changedThere();
      older.file.setTime(time);
      older.file.setMode(fileMode(mode));
    } else {
      const file = this.#file ?? await this.#begin();
      if (older && older.info.size > size) file.truncate(size);
      file.setTime(time);
      file.setMode(fileMode(mode));
      file.close();
      this.#files.rename(this.#temporary, path);
      this.#file = undefined;
    }
    older?.close();
  }

  #drop(): void {
    this.#file?.close();
    this.#file = undefined;
    try {
      this.#files.remove(this.#temporary);
    } catch { /* it was not made */ }
  }

  /** Nothing will come of it. Once it is finished, this does nothing. */
  abandon(): void {
    if (this.#file) this.#drop();
    this.#older?.close();
  }
}

const changedThere = (): Error => new Error("It was changed over there meanwhile");
