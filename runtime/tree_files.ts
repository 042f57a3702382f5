/**
 * Files and directories as trees of them are copied: looking at entries without following links, reading and writing at offsets, temporary files that
 * are renamed, digests. All runtimes have `node:fs` and `node:crypto` for that. What is copied where is none of its business.
 *
 * Whatever is small is done synchronously, which takes a fraction of the time; whatever is large is not.
 *
 * @module
 */

import { builtin } from "./host.ts";

/** What an entry of a directory is. */
export type EntryKind = "file" | "directory" | "link" | "other";

/** What is known of an entry. */
export interface EntryInfo {
  readonly kind: EntryKind;
  /** Permissions, without the kind. */
  readonly mode: number;
  /** When its content was changed last, milliseconds. */
  readonly time: number;
  /** When anything of it was changed last, milliseconds. */
  readonly changed: number;
  readonly size: number;
  /** What tells it from others: device and number, and the kind, as the number of what was removed may be given again. */
  readonly identity: string;
}

/** What is used of the result of `stat()`. */
interface Stats {
  readonly mode: number;
  readonly mtimeMs: number;
  readonly ctimeMs: number;
  readonly size: number;
  readonly dev: number;
  readonly ino: number;
}

/** What is used of `node:fs`. */
interface Fs {
  readonly constants: { readonly [name: string]: number };
  readonly promises: {
    copyFile(from: string, to: string, mode: number): Promise<void>;
    rm(path: string, options: { recursive: boolean }): Promise<void>;
  };
  access(path: string, done: () => void): void;
  chmodSync(path: string, mode: number): void;
  closeSync(fd: number): void;
  /** Missing in Deno 2.0. */
  fchmodSync?(fd: number, mode: number): void;
  fstatSync(fd: number): Stats;
  ftruncateSync(fd: number, size: number): void;
  futimesSync(fd: number, accessed: number, modified: number): void;
  lstatSync(path: string, options: { throwIfNoEntry: false }): Stats | undefined;
  lutimesSync?(path: string, accessed: number, modified: number): void;
  mkdirSync(path: string, options: { mode?: number; recursive?: boolean }): unknown;
  openSync(path: string, flags: number, mode?: number): number;
  read(fd: number, buffer: Uint8Array, at: number, length: number, position: number, done: Done): void;
  readSync(fd: number, buffer: Uint8Array, at: number, length: number, position: number): number;
  readdirSync(path: string): string[];
  readlinkSync(path: string): string;
  realpathSync(path: string): string;
  renameSync(from: string, to: string): void;
  rmdirSync(path: string): void;
  statSync(path: string): Stats;
  symlinkSync(target: string, path: string): void;
  unlinkSync(path: string): void;
  utimesSync(path: string, accessed: number, modified: number): void;
  write(fd: number, buffer: Uint8Array, at: number, length: number, position: number, done: Done): void;
  writeSync(fd: number, buffer: Uint8Array, at: number, length: number, position: number): number;
}
type Done = (error: Error | null, count: number) => void;

interface Hash {
  update(bytes: Uint8Array): Hash;
  digest(): Uint8Array;
}

/** The format bits of a mode. */
const FORMAT = 0o170000;
const KINDS: { readonly [format: number]: EntryKind } = { 0o100000: "file", 0o040000: "directory", 0o120000: "link" };

/** Up to so many bytes are read or written without letting anybody else have a turn. */
const AT_ONCE = 1 << 16;

function infoOf({ mode, mtimeMs, ctimeMs, size, dev, ino }: Stats): EntryInfo {
  const kind = KINDS[mode & FORMAT] ?? "other";
  return {
    kind,
    mode: mode & 0o7777,
    time: mtimeMs,
    changed: ctimeMs,
    size,
    identity: `${kind} ${dev}:${ino}`,
  };
}

/** Whether an error says that there is no such entry. */
export function isMissing(error: unknown): boolean {
  const { code } = Object(error) as { code?: unknown };
  return code === "ENOENT" || code === "ENOTDIR";
}

/** Seconds that come out as this time again, wherever they are cut: a double has a quarter of a microsecond. */
const seconds = (ms: number): number => (Math.floor(ms * 1000) + 0.25) / 1e6;

/** The operations. Paths are absolute; all but a few reject or throw what the system said. */
export class TreeFiles {
  readonly #fs: Fs;
  readonly #hash: (name: string) => Hash;

  /** Makes a path absolute, without looking at what is there. */
  readonly resolve: (path: string) => string;

  private constructor(fs: Fs, hash: (name: string) => Hash, resolve: (path: string) => string) {
    this.#fs = fs;
    this.#hash = hash;
    this.resolve = resolve;
  }

  /** Loads what it takes. */
  static async load(): Promise<TreeFiles> {
    const [fs, crypto, path] = await Promise.all([
      builtin<Fs>("node:fs"),
      builtin<{ createHash(name: string): Hash }>("node:crypto"),
      builtin<{ resolve(path: string): string }>("node:path"),
    ]);
    return new TreeFiles(fs, (name) => crypto.createHash(name), (it) => path.resolve(it));
  }

  /** The SHA-256 of some bytes. */
  digest(bytes: Uint8Array): Uint8Array {
    return this.#hash("sha256").update(bytes).digest();
  }

  /** What is at a path, links not followed; undefined if nothing is. */
  look(path: string): EntryInfo | undefined {
    try {
      // An error costs more than all the rest, where one need not be made.
      const stats = this.#fs.lstatSync(path, { throwIfNoEntry: false });
      return stats && infoOf(stats);
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  }

  /** What is at a path when links are followed. */
  follow(path: string): EntryInfo {
    return infoOf(this.#fs.statSync(path));
  }

  /**
   * Lets everybody else have a turn: what was sent leaves, and what arrived is taken in. The system is asked something for that, about a path that may
   * be looked at: of immediates, Deno has 60 pass before anything arrives, and timers take a millisecond.
   */
  turn(path: string): Promise<void> {
    return new Promise((resolve) => this.#fs.access(path, () => resolve()));
  }

  /** The names in a directory. */
  names(path: string): string[] {
    return this.#fs.readdirSync(path);
  }

  linkTarget(path: string): string {
    return this.#fs.readlinkSync(path);
  }

  realPath(path: string): string {
    return this.#fs.realpathSync(path);
  }

  /** Opens a file to read from it, unless it is a link. */
  open(path: string): OpenFile {
    const { O_RDONLY, O_NOFOLLOW = 0, O_NONBLOCK = 0 } = this.#fs.constants;
    return new OpenFile(this.#fs, path, O_RDONLY! | O_NOFOLLOW | O_NONBLOCK);
  }

  /** Makes a file that nobody else has made, to write to it. */
  create(path: string, mode: number): OpenFile {
    const { O_RDWR, O_CREAT, O_EXCL } = this.#fs.constants;
    return new OpenFile(this.#fs, path, O_RDWR! | O_CREAT! | O_EXCL!, mode);
  }

  /** Makes a file that is a copy of another one, by the system where it can, to write to it. */
  async clone(from: string, to: string): Promise<OpenFile> {
    const { O_RDWR, O_NOFOLLOW = 0, COPYFILE_EXCL, COPYFILE_FICLONE = 0 } = this.#fs.constants;
    await this.#fs.promises.copyFile(from, to, COPYFILE_EXCL! | COPYFILE_FICLONE);
    this.#fs.chmodSync(to, 0o600);
    return new OpenFile(this.#fs, to, O_RDWR! | O_NOFOLLOW);
  }

  makeDirectory(path: string, mode: number): void {
    this.#fs.mkdirSync(path, { mode });
  }

  /** Makes a directory and those that it is in. */
  makeDirectories(path: string): void {
    this.#fs.mkdirSync(path, { recursive: true });
  }

  makeLink(target: string, path: string): void {
    this.#fs.symlinkSync(target, path);
  }

  rename(from: string, to: string): void {
    this.#fs.renameSync(from, to);
  }

  /** Removes what is no directory. */
  remove(path: string): void {
    this.#fs.unlinkSync(path);
  }

  removeEmpty(path: string): void {
    this.#fs.rmdirSync(path);
  }

  /** Removes a directory and all that is in it; links are removed, not followed. */
  removeTree(path: string): Promise<void> {
    return this.#fs.promises.rm(path, { recursive: true });
  }

  /** Sets permissions and time of a directory. */
  dress(path: string, mode: number, time: number): void {
    this.#fs.chmodSync(path, mode);
    this.#fs.utimesSync(path, seconds(time), seconds(time));
  }

  setMode(path: string, mode: number): void {
    this.#fs.chmodSync(path, mode);
  }

  /** Sets the time of a link itself, where that can be done. */
  setLinkTime(path: string, time: number): void {
    this.#fs.lutimesSync?.(path, seconds(time), seconds(time));
  }
}

/** A file that is open. */
export class OpenFile {
  readonly #fs: Fs;
  readonly #path: string;
  readonly #fd: number;
  #open = true;

  /**
   * @param fs Where it is.
   * @param path Its path.
   * @param flags How it is opened.
   * @param mode With which permissions it is made, if it is.
   */
  constructor(fs: Fs, path: string, flags: number, mode?: number) {
    this.#fs = fs;
    this.#path = path;
    this.#fd = fs.openSync(path, flags, mode);
  }

  info(): EntryInfo {
    return infoOf(this.#fs.fstatSync(this.#fd));
  }

  /** Reads until the buffer is full or the file ends. Returns how much came. */
  async read(buffer: Uint8Array, position: number): Promise<number> {
    let done = 0;
    while (done < buffer.length) {
      const length = buffer.length - done;
      const count = length <= AT_ONCE
        ? this.#fs.readSync(this.#fd, buffer, done, length, position + done)
        : await this.#call("read", buffer, done, length, position + done);
      if (count === 0) break;
      done += count;
    }
    return done;
  }

  /** Reads from the beginning at once, for what is small, to a place in a buffer. Returns how much came. */
  readNow(buffer: Uint8Array, at = 0, length: number = buffer.length): number {
    return this.#fs.readSync(this.#fd, buffer, at, length, 0);
  }

  /** Writes all bytes. */
  async write(bytes: Uint8Array, position: number): Promise<void> {
    let done = 0;
    while (done < bytes.length) {
      const length = bytes.length - done;
      done += length <= AT_ONCE
        ? this.#fs.writeSync(this.#fd, bytes, done, length, position + done)
        : await this.#call("write", bytes, done, length, position + done);
    }
  }

  /** The same without letting anybody else have a turn, for what is small. */
  writeNow(bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length;) {
      done += this.#fs.writeSync(this.#fd, bytes, done, bytes.length - done, done);
    }
  }

  #call(what: "read" | "write", bytes: Uint8Array, at: number, length: number, position: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#fs[what](this.#fd, bytes, at, length, position, (error, count) => error ? reject(error) : resolve(count));
    });
  }

  truncate(size: number): void {
    this.#fs.ftruncateSync(this.#fd, size);
  }

  setMode(mode: number): void {
    if (this.#fs.fchmodSync) this.#fs.fchmodSync(this.#fd, mode);
    else this.#fs.chmodSync(this.#path, mode);
  }

  setTime(time: number): void {
    this.#fs.futimesSync(this.#fd, seconds(time), seconds(time));
  }

  /** Closes it; once more does nothing. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#fs.closeSync(this.#fd);
  }
}
