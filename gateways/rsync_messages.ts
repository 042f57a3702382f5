/**
 * What the two ends of an {@linkcode RSync} say to each other: the items of a stream in each direction, how much of what there may be, and whether what
 * arrived is what it should be. The order is described here, what is done about it in `rsync_sender.ts` and `rsync_receiver.ts`.
 *
 * The sender lists directories, parents first, in portions. Every entry has a number: the directory that is copied has 0, the entries of all portions
 * are counted from 1. The receiver answers each portion with which files it wants and how. What it wants are contents: small files several at a time,
 * their bytes one behind the other after the message that names them, large ones between `open` and `close`, one after the other. Bytes travel as
 * such, in pieces of any size. Where it has an older version of a large file, it is asked (`sign`) for the checksums of
 * that one's blocks first; then only what is new of the content comes, and the rest as `copy`.
 *
 * @module
 */

/** Sizes and counts, in bytes where nothing else is said. */
export const RSYNC: {
  readonly small: number;
  readonly chunk: number;
  readonly portion: number;
  readonly batch: number;
  readonly batchFiles: number;
  readonly ahead: number;
  readonly wanted: number;
  readonly signing: number;
  readonly leastBlock: number;
  readonly mostBlock: number;
  readonly mostBlocks: number;
  readonly strong: number;
} = {
  /** Files up to this are sent in one piece. */
  small: 128 << 10,
  /** How much of a larger one is read, sent and written at a time, at least. */
  chunk: 256 << 10,
  /** Entries of one portion of a list. */
  portion: 1000,
  /**
   * Contents of small files that are sent together, and how many files these may be. It is less than a pipe holds, so that the next ones come in
   * while these are written.
   */
  batch: 56 << 10,
  batchFiles: 128,
  /** Entries that are listed before the contents of the first of them are sent. */
  ahead: 8192,
  /** Files that a receiver waits for; more ends it. */
  wanted: 1 << 16,
  /** Files whose checksums are asked for ahead of their turn. */
  signing: 16,
  /** Blocks of files that are compared: how large, and how many. Of larger files everything is sent. */
  leastBlock: 32 << 10,
  mostBlock: 2 << 20,
  mostBlocks: 1 << 18,
  /** How much of the digest of a block is sent. */
  strong: 16,
};

/** An entry of a directory: exactly one of `size`, `link` and `directory` says what it is. */
export interface Entry {
  /** What it is called in its directory. */
  readonly name: string;
  /** Permissions. */
  readonly mode: number;
  /** When it was changed last, milliseconds. */
  readonly time: number;
  /** Of a file. */
  readonly size?: number;
  /** What a link leads to. */
  readonly link?: string;
  /** Whether that is below the destination, not what it says. */
  readonly inside?: boolean;
  /** Whether it is a directory, which will be listed, too. */
  readonly directory?: true;
}

/** A portion of a list of a directory. */
export interface List {
  /** The number of the directory. */
  readonly list: number;
  /** The number of the first entry. */
  readonly first: number;
  /** The entries. */
  readonly entries: readonly Entry[];
  /** Names that are there but could not be looked at, or are no files: nothing that is called so is deleted. */
  readonly keep: readonly string[];
  /** Whether this ends the list. */
  readonly last: boolean;
  /** Whether the directory could be read: else nothing in it is deleted. */
  readonly known: boolean;
}

/** A small file: number, permissions, time and size, which is null if the receiver has the content. */
export type Small = readonly [id: number, mode: number, time: number, size: number | null];

/** What the sender says. */
export type Message =
  | List
  /** The next bytes of small files, or of the one that was opened. */
  | Uint8Array
  | { readonly files: readonly Small[] }
  /** Checksums are wanted of the older version of a file: the strong ones first, then, while it is open and if something has moved, the weak ones. */
  | { readonly sign: number; readonly weak?: true }
  | { readonly open: number; readonly size: number; readonly mode: number; readonly time: number }
  | { readonly copy: number; readonly count: number }
  /** The end of what was opened, or, where `error` says why nothing of it is of use, of what was wanted. */
  | { readonly close: number; readonly error?: string }
  | { readonly end: true };

/** How a file is wanted: all of it, unless its digest is this one, or only what differs from an older version of this size. */
export type Want = readonly [id: number, older?: Uint8Array | number];

/** What went wrong with an entry. */
export type Failure = readonly [id: number, message: string];

/** What the receiver says. */
export type Answer =
  | {
    /** The number of the first entry of the portion. */
    readonly listed: number;
    readonly wants: readonly Want[];
    readonly failed: readonly Failure[];
    /** Paths that were deleted, and those that could not be. */
    readonly deleted: readonly string[];
    readonly kept: readonly (readonly [path: string, message: string])[];
  }
  | {
    /** The number of the file. */
    readonly sums: number;
    /** Of the kind that was asked for. */
    readonly bytes: Uint8Array;
    readonly last: boolean;
    /** The older version cannot be read after all. */
    readonly none?: true;
  }
  | { readonly done: readonly number[]; readonly failed: readonly Failure[] }
  | { readonly ended: true; readonly failed: readonly Failure[] };

/** How a destination is to be treated. */
export interface ReceiveInit {
  /** Whether what is not in the source is deleted. */
  readonly delete: boolean;
  /** Permissions that it gets. */
  readonly mode: number;
  /** The time that it gets, milliseconds. */
  readonly time: number;
}

/** The size of the blocks of a file; 0 if it is too large to be compared. */
export function blockSize(size: number): number {
  let block = RSYNC.leastBlock;
  while (block < RSYNC.mostBlock && size / block > RSYNC.mostBlocks / 4) block *= 2;
  return size / block > RSYNC.mostBlocks ? 0 : block;
}

/** Ends the talk: what arrived is not what is described here. */
export function refuse(what: string): never {
  throw new TypeError(`Cannot go on with rsync: the other side sent ${what}`);
}

/** Whether something is a number that counts. */
export function isCount(value: unknown, most: number = Number.MAX_SAFE_INTEGER): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 && value <= most;
}

/** Whether something is an array of no more than so many items. */
export function isList(value: unknown, most: number): value is readonly unknown[] {
  return Array.isArray(value) && value.length <= most;
}

/** Whether something are permissions and a time. */
export function isDress(mode: unknown, time: unknown): boolean {
  return isCount(mode, 0o7777) && typeof time === "number" && Math.abs(time) <= 8.64e15;
}

/** Whether something can be the name of an entry, and nothing more: it leads nowhere else. */
export function isName(name: unknown): name is string {
  // deno-lint-ignore no-control-regex -- NUL ends a path
  return typeof name === "string" && name !== "" && name !== "." && name !== ".." && !/[/\x00]/.test(name);
}
