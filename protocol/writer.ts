/**
 * A growing buffer and the elementary forms that are written to it. What values look like is not known here.
 *
 * @module
 */

const utf8 = new TextEncoder();

/** Writes elementary forms one behind the other. `bytes` is replaced when it grows: never keep it across a write. */
export class Writer {
  /** The buffer. What is beyond `position` is free. */
  bytes: Uint8Array<ArrayBuffer>;
  /** Where the next byte goes. Setting it back takes back what was written. */
  position = 0;
  #view: DataView;

  /** Makes an empty writer with room for `size` bytes. */
  constructor(size = 1024) {
    this.bytes = new Uint8Array(size);
    this.#view = new DataView(this.bytes.buffer);
  }

  /** Makes room for `n` more bytes. */
  ensure(n: number): void {
    const needed = this.position + n;
    if (needed <= this.bytes.length) return;
    const larger = new Uint8Array(Math.max(needed, this.bytes.length * 2));
    larger.set(this.bytes.subarray(0, this.position));
    this.bytes = larger;
    this.#view = new DataView(larger.buffer);
  }

  /** Gives what was written, and goes on at the start of another buffer. */
  swap(next: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
    const written = this.bytes.subarray(0, this.position);
    this.bytes = next;
    this.#view = new DataView(next.buffer);
    this.position = 0;
    return written;
  }

  /** Writes one byte. */
  u8(v: number): void {
    if (this.position === this.bytes.length) this.ensure(1);
    this.bytes[this.position++] = v;
  }

  /** Writes 32 bits, little-endian. */
  u32(v: number): void {
    this.ensure(4);
    this.#view.setUint32(this.position, v, true);
    this.position += 4;
  }

  /** Writes a double, little-endian. */
  f64(v: number): void {
    this.ensure(8);
    this.#view.setFloat64(this.position, v, true);
    this.position += 8;
  }

  /** Writes a byte and a varint. */
  tagged(tag: number, v: number): void {
    if (this.position + 9 > this.bytes.length) this.ensure(9);
    this.bytes[this.position++] = tag;
    if (v < 128) this.bytes[this.position++] = v;
    else this.varint(v);
  }

  /** Writes an integer from 0 to 2^53-1: seven bits a byte, low ones first, the high bit says that more follow. */
  varint(v: number): void {
    this.ensure(8);
    const bytes = this.bytes;
    let at = this.position;
    while (v > 0x7fffffff) {
      bytes[at++] = v % 128 | 128;
      v = Math.floor(v / 128);
    }
    while (v > 127) {
      bytes[at++] = v & 127 | 128;
      v >>>= 7;
    }
    bytes[at++] = v;
    this.position = at;
  }

  /**
   * Writes a string of any content: twice its length in bytes as a varint, then UTF-8; or, where UTF-8 has no form for it because of
   * a lone surrogate, that number plus one, then UTF-16, little-endian.
   */
  string(s: string): void {
    const n = s.length;
    if (n < 32 && this.ascii(s, n * 2)) return;
    if (!s.isWellFormed()) {
      this.varint(n * 4 + 1);
      this.ensure(n * 2);
      for (let i = 0; i < n; i++) this.#view.setUint16(this.position + i * 2, s.charCodeAt(i), true);
      this.position += n * 2;
      return;
    }
    this.ensure(n * 3 + 16);
    const start = this.position;
    this.varint(n * 2);
    const written = utf8.encodeInto(s, this.bytes.subarray(this.position)).written;
    if (written > n) {
      // It is not ASCII, so that the header was wrong, and perhaps too short.
      this.bytes.copyWithin(start + 8, this.position, this.position + written);
      this.position = start;
      this.varint(written * 2);
      this.bytes.copyWithin(this.position, start + 8, start + 8 + written);
    }
    this.position += written;
  }

  /** Writes `header` as a byte and then `s`, if `s` is all ASCII; otherwise nothing. */
  ascii(s: string, header: number): boolean {
    const n = s.length;
    this.ensure(n + 1);
    const bytes = this.bytes;
    let at = this.position;
    bytes[at++] = header;
    for (let i = 0; i < n; i++) {
      const c = s.charCodeAt(i);
      if (c > 127) return false;
      bytes[at++] = c;
    }
    this.position = at;
    return true;
  }

  /** Writes the bytes of `chunk`. */
  raw(chunk: Uint8Array): void {
    this.ensure(chunk.length);
    this.bytes.set(chunk, this.position);
    this.position += chunk.length;
  }

  /** Inserts what `other` holds at `at`, moving what was written from there on. */
  insert(at: number, other: Writer): void {
    const n = other.position;
    this.ensure(n);
    this.bytes.copyWithin(at + n, at, this.position);
    this.bytes.set(other.bytes.subarray(0, n), at);
    this.position += n;
  }
}
