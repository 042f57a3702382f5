/**
 * Reads the elementary forms that writer.ts writes, from bytes that nobody vouches for. What values look like is not known here.
 *
 * @module
 */

import { ProtocolError } from "./errors.ts";

// In Deno the strict decoder takes seven times as long as the lenient one.
const lenient = new TextDecoder("utf-8", { ignoreBOM: true });
const strict = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });
const fromCodes = String.fromCharCode;
// To spread an array that exists already is the fastest way to make a short string.
const codes: number[][] = Array.from({ length: 32 }, (_, n) => new Array(n).fill(0));

/** Throws the error for what cannot be of this protocol. */
export function malformed(what: string): never {
  throw new ProtocolError(`Received a malformed ${what}`);
}

/** Decodes UTF-8; what is not valid UTF-8 is a `ProtocolError`. */
export function decodeText(bytes: Uint8Array): string {
  const text = lenient.decode(bytes);
  if (!text.includes("\ufffd")) return text;
  try {
    return strict.decode(bytes);
  } catch {
    malformed("string");
  }
}

/** Reads elementary forms one behind the other. Each read that would go beyond `end` throws a `ProtocolError`. */
export class Reader {
  /** Where to read. */
  bytes: Uint8Array = new Uint8Array(0);
  /** The next byte. */
  position = 0;
  /** Behind the last byte. */
  end = 0;
  #view: DataView | undefined;

  /** Turns to other bytes. */
  reset(bytes: Uint8Array, position = 0, end: number = bytes.length): void {
    if (bytes !== this.bytes) this.#view = undefined;
    this.bytes = bytes;
    this.position = position;
    this.end = end;
  }

  /** Moves on by `n` bytes and returns where they begin. */
  skip(n: number): number {
    const at = this.position;
    if (n > this.end - at) malformed("message, which ends too early");
    this.position = at + n;
    return at;
  }

  /** Reads one byte. */
  u8(): number {
    if (this.position >= this.end) this.skip(1);
    return this.bytes[this.position++]!;
  }

  /** The next byte, which stays; -1 at the end. */
  peek(): number {
    return this.position < this.end ? this.bytes[this.position]! : -1;
  }

  #at(n: number): DataView {
    this.skip(n);
    return this.#view ??= new DataView(this.bytes.buffer, this.bytes.byteOffset, this.bytes.length);
  }

  /** Reads 32 bits. */
  u32(): number {
    return this.#at(4).getUint32(this.position - 4, true);
  }

  /** Reads a double. */
  f64(): number {
    return this.#at(8).getFloat64(this.position - 8, true);
  }

  /** Reads an integer from 0 to 2^53-1. */
  varint(): number {
    let byte = this.u8();
    if (byte < 128) return byte;
    let value = byte & 127;
    for (let shift = 7; shift < 28; shift += 7) {
      byte = this.u8();
      value |= (byte & 127) << shift;
      if (byte < 128) return value;
    }
    // Beyond 28 bits, the operators for 32 would fail. The eighth byte holds the last four bits.
    for (let scale = 2 ** 28; byte > 127 && scale < 2 ** 56; scale *= 128) {
      byte = this.u8();
      value += (byte & 127) * scale;
    }
    if (byte > 127 || value > Number.MAX_SAFE_INTEGER) malformed("integer");
    return value;
  }

  /** Reads a string. */
  string(): string {
    const header = this.varint();
    const n = Math.floor(header / 2);
    if (header % 2 === 0) return n < 32 ? this.ascii(n) : decodeText(this.raw(n));
    if (n % 2 !== 0) malformed("string");
    const units = new Uint16Array(this.copy(n));
    let text = "";
    for (let i = 0; i < units.length; i += 4096) {
      text += fromCodes.apply(null, units.subarray(i, i + 4096) as unknown as number[]);
    }
    return text;
  }

  /** Reads `n` bytes of UTF-8, fewer than 32 and most likely ASCII. */
  ascii(n: number): string {
    const at = this.skip(n);
    const bytes = this.bytes;
    const array = codes[n]!;
    let any = 0;
    for (let i = 0; i < n; i++) any |= array[i] = bytes[at + i]!;
    return any < 128 ? fromCodes.apply(null, array) : decodeText(bytes.subarray(at, at + n));
  }

  /** Reads `n` bytes into a buffer of their own. Not with `slice()`, which copies nothing where the bytes are a Node `Buffer`. */
  copy(n: number): ArrayBuffer {
    return new Uint8Array(this.raw(n)).buffer;
  }

  /** Reads `n` bytes; the result is a view of the reader's bytes. */
  raw(n: number): Uint8Array {
    const at = this.skip(n);
    return this.bytes.subarray(at, at + n);
  }
}
