/**
 * Finding out what of a file the other side has already: checksums of blocks, a strong one and, where something has
 * moved, a weak one that can be rolled from byte to byte, and the search for these blocks in another version of the file. Pure: digests are passed in, and nothing is read or written here.
 *
 * @module
 */

import { RSYNC } from "./rsync_messages.ts";

/** Makes a strong checksum. */
export type Digest = (bytes: Uint8Array) => Uint8Array;

/** What a receiver has: `count` blocks from the `first` one on. */
export interface Copy {
  readonly copy: number;
  readonly count: number;
}

/** What becomes of a file: what the receiver has, and what it does not have. */
export type Step = Copy | { readonly data: Uint8Array };

/** The cheap checksum of some bytes: the sum of the bytes and the sum of these sums, 16 bits each. */
export function weakSum(bytes: Uint8Array, start = 0, end: number = bytes.length): number {
  let a = 0, b = 0, i = start;
  // Both stay small integers, which matters tenfold while this is not compiled yet. Four at a time wait less for one another.
  for (const fours = end - 3; i < fours; i += 4) {
    const w = bytes[i]!, x = bytes[i + 1]!, y = bytes[i + 2]!, z = bytes[i + 3]!;
    b = b + 4 * (a + w) + 3 * x + 2 * y + z & 0xffff;
    a = a + w + x + y + z & 0xffff;
  }
  for (; i < end; i++) {
    a = a + bytes[i]! & 0xffff;
    b = b + a & 0xffff;
  }
  return (a | b << 16) >>> 0;
}

/** How many candidates with the same weak sum are compared. */
const CANDIDATES = 8;
/** How many strong checksums may be in vain in one length of a block, which files that were made for it could otherwise drive up without bound. */
const FALSE_ALARMS = 32;

/** The checksums of the blocks of one version of a file. The last block may be shorter. */
export class BlockSums {
  readonly block: number;
  readonly size: number;
  readonly count: number;
  readonly weak: Uint32Array;
  /** The strong ones, one behind the other. */
  readonly strong: Uint8Array;
  #filled = 0;
  #weak = 0;
  #heads: Int32Array | undefined;
  /** For each block the next one with the same 16 bits, plus 1. */
  readonly #next: Int32Array;

  /**
   * @param size The size of the file.
   * @param block The size of its blocks.
   */
  constructor(size: number, block: number) {
    this.size = size;
    this.block = block;
    this.count = Math.ceil(size / block);
    this.weak = new Uint32Array(this.count);
    this.strong = new Uint8Array(this.count * RSYNC.strong);
    this.#next = new Int32Array(this.count);
  }

  /** Whether all strong ones are there. */
  get complete(): boolean {
    return this.#filled === this.count;
  }

  /** Whether all weak ones are there, too: then blocks can be found wherever they are. */
  get searchable(): boolean {
    return this.complete && this.#weak === this.count;
  }

  /** How many strong ones there are already. */
  get filled(): number {
    return this.#filled;
  }

  /** Bytes of one block. */
  lengthOf(index: number): number {
    return Math.min(this.block, this.size - index * this.block);
  }

  /** Adds the strong checksums of the next blocks. Returns whether they fit. */
  add(strong: Uint8Array): boolean {
    const count = strong.length / RSYNC.strong;
    if (!Number.isInteger(count) || this.#filled + count > this.count) return false;
    this.strong.set(strong, this.#filled * RSYNC.strong);
    this.#filled += count;
    return true;
  }

  /** Likewise the weak ones. */
  addWeak(weak: Uint8Array): boolean {
    const count = weak.length / 4;
    if (!Number.isInteger(count) || this.#weak + count > this.count) return false;
    const view = new DataView(weak.buffer, weak.byteOffset, weak.length);
    for (let i = 0; i < count; i++) this.weak[this.#weak + i] = view.getUint32(4 * i, true);
    this.#weak += count;
    return true;
  }

  /** For 16 bits of weak sums, the sum of their halves: the first block that has these, plus 1. To be asked for when all are there. */
  get heads(): Int32Array {
    if (this.#heads) return this.#heads;
    const heads = this.#heads = new Int32Array(1 << 16);
    // From the end, so that of equal blocks the first ones are found first.
    for (let i = this.count - 1; i >= 0; i--) {
      if (this.lengthOf(i) !== this.block) continue;
      const key = keyOf(this.weak[i]!);
      this.#next[i] = heads[key]!;
      heads[key] = i + 1;
    }
    return heads;
  }

  /** A whole block that is what stands at a place, and has this weak sum; -1 if there is none, {@linkcode NOT_THIS} if there is none though the weak one fits. */
  find(weak: number, digest: Digest, bytes: Uint8Array, at: number): number {
    let strong: Uint8Array | undefined, candidates = CANDIDATES;
    for (let next = this.heads[keyOf(weak)]!; next !== 0 && candidates > 0; next = this.#next[next - 1]!) {
      if (this.weak[next - 1] !== weak) continue;
      candidates--;
      strong ??= digest(bytes.subarray(at, at + this.block));
      if (this.matches(next - 1, strong)) return next - 1;
    }
    return strong ? NOT_THIS : -1;
  }

  /** Whether a block has this strong checksum. */
  matches(index: number, digest: Uint8Array): boolean {
    const at = index * RSYNC.strong;
    for (let i = 0; i < RSYNC.strong; i++) if (this.strong[at + i] !== digest[i]) return false;
    return true;
  }
}

/** What {@linkcode BlockSums.find} says where there is no such block though the weak sum fits. */
const NOT_THIS = -2;

/** While sums are missing, nothing is searched. */
const NO_HEADS = new Int32Array(0);

/** How many blocks may differ in a row before the next one is looked for elsewhere than where it was. */
const IN_PLACE = 3;
/** What is said of blocks that differ: the bytes to tell are not there yet, or (as 0) nothing in place is the same. */
const LATER = -1;

const keyOf = (weak: number): number => (weak + (weak >>> 16)) & 0xffff;

/** Searches a file, piece by piece, for blocks that the other side has. */
export class Matcher {
  readonly #sums: BlockSums;
  readonly #digest: Digest;
  /** What came, but is not decided yet: less than a block. */
  #rest: Uint8Array = new Uint8Array(0);
  /** The block that follows the last one that was found: where it follows here, too, nothing has to be searched. */
  #expected = 0;
  #stalled = false;
  #searching = false;
  #found: { copy: number; count: number } | undefined;

  constructor(sums: BlockSums, digest: Digest) {
    this.#sums = sums;
    this.#digest = digest;
  }

  /** Whether it waits for more checksums: then {@linkcode push}, with no bytes, or {@linkcode end} goes on. */
  get stalled(): boolean {
    return this.#stalled;
  }

  /** Whether these are the weak ones, which are only wanted where something has moved. */
  get searching(): boolean {
    return this.#stalled && this.#searching;
  }

  /** Takes the next bytes. Returns what can be said by now: steps that refer to these bytes. */
  push(bytes: Uint8Array): Step[] {
    const steps: Step[] = [];
    this.#search(this.#joined(bytes), steps);
    return steps;
  }

  /** The end of the file: here alone the last block is looked for if it is shorter. To be called again while it is {@linkcode stalled}. */
  end(): Step[] {
    const steps: Step[] = [];
    if (this.#rest.length >= this.#sums.block) this.#search(this.#rest, steps, true);
    else this.#stalled = !this.#sums.complete;
    if (this.#stalled) return steps;
    const rest = this.#rest, sums = this.#sums, last = sums.count - 1;
    const length = last < 0 ? 0 : sums.lengthOf(last);
    const at = rest.length - length;
    if (length > 0 && at >= 0 && sums.matches(last, this.#digest(rest.subarray(at)))) {
      if (at > 0) this.#say(steps, rest.subarray(0, at));
      this.#copy(steps, last);
    } else if (rest.length > 0) this.#say(steps, rest);
    this.#flush(steps);
    return steps;
  }

  #joined(bytes: Uint8Array): Uint8Array {
    if (this.#rest.length === 0) return bytes;
    if (bytes.length === 0) return this.#rest;
    const all = new Uint8Array(this.#rest.length + bytes.length);
    all.set(this.#rest);
    all.set(bytes, this.#rest.length);
    return all;
  }

  #flush(steps: Step[]): void {
    if (this.#found) steps.push(this.#found);
    this.#found = undefined;
  }

  #say(steps: Step[], data: Uint8Array): void {
    this.#flush(steps);
    steps.push({ data });
  }

  #copy(steps: Step[], index: number): void {
    const found = this.#found;
    if (found && found.copy + found.count === index) found.count++;
    else {
      this.#flush(steps);
      this.#found = { copy: index, count: 1 };
    }
    this.#expected = index + 1;
  }

  /**
   * How many blocks differ until one is again what was at its place: then nothing has moved, and these need not be looked for, which takes all
   * checksums and a look at every byte. Sets `stalled` where a checksum is missing.
   */
  #changedInPlace(bytes: Uint8Array, at: number, final: boolean): number {
    const sums = this.#sums, { block } = sums;
    for (let ahead = 1; ahead <= IN_PLACE; ahead++) {
      const index = this.#expected + ahead, from = at + ahead * block;
      if ((index + 1) * block > sums.size) return 0;
      if (from + block > bytes.length) return final ? 0 : LATER;
      if (index >= sums.filled) {
        this.#stalled = true;
        return LATER;
      }
      if (sums.matches(index, this.#digest(bytes.subarray(from, from + block)))) return ahead;
    }
    return 0;
  }

  /** Goes through the bytes as far as they tell, and keeps what is left: a few blocks at most, less than one if these are the last bytes. */
  #search(bytes: Uint8Array, steps: Step[], final = false): void {
    const sums = this.#sums, { block, size } = sums;
    const whole = Math.floor(size / block), heads = sums.searchable ? sums.heads : NO_HEADS;
    const { length } = bytes;
    let at = 0, told = 0, a = 0, b = 0, rolling = false, alarms = 0, quiet = 0;
    this.#stalled = this.#searching = false;
    while (length - at >= block) {
      let index = -1;
      if (!rolling) {
        if (this.#expected >= sums.filled && !sums.complete) {
          this.#stalled = true;
          break;
        }
        if (this.#expected < whole && sums.matches(this.#expected, this.#digest(bytes.subarray(at, at + block)))) {
          index = this.#expected;
        } else {
          const changed = this.#expected < whole ? this.#changedInPlace(bytes, at, final) : 0;
          if (changed === LATER) break;
          if (changed > 0) {
            index = this.#expected + changed;
            at += changed * block;
          } else if (!sums.searchable) {
            this.#stalled = true;
            this.#searching = sums.complete;
            break;
          }
        }
        if (index < 0) {
          const sum = weakSum(bytes, at, at + block);
          a = sum & 0xffff;
          b = sum >>> 16;
          rolling = true;
          this.#expected = whole;
        }
      }
      if (index < 0 && quiet > 0) quiet--;
      else if (index < 0 && heads[a + b & 0xffff] !== 0) {
        index = sums.find((a | b << 16) >>> 0, this.#digest, bytes, at);
        if (index === NOT_THIS && ++alarms === FALSE_ALARMS) alarms = 0, quiet = block;
      }
      if (index >= 0) {
        if (told < at) this.#say(steps, bytes.subarray(told, at));
        this.#copy(steps, index);
        told = at += block;
        rolling = false;
        continue;
      }
      // Where there is no next byte yet, what is left is summed up anew with the next piece.
      if (at + block === length) {
        at++;
        break;
      }
      const out = bytes[at]!;
      a = a - out + bytes[at + block]! & 0xffff;
      b = b - block * out + a & 0xffff;
      at++;
    }
    if (told < at) this.#say(steps, bytes.subarray(told, at));
    this.#rest = bytes.slice(at);
  }
}
