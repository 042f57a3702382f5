/**
 * Binary values: which bytes of which buffers a value needs, and the table in front of the value that says where they are. Bytes that
 * no view covers never leave the process: views that overlap or touch share one buffer over there too, others get one each.
 *
 * @module
 */

import { OperationError } from "./errors.ts";
import { LIMITS } from "./limits.ts";
import { malformed, type Reader } from "./reader.ts";
import { BINARY_TABLE } from "./tags.ts";
import { Writer } from "./writer.ts";

/** The names of the kinds; their places in this list are what is sent. */
const KINDS: readonly string[] =
  "ArrayBuffer DataView Int8Array Uint8Array Uint8ClampedArray Int16Array Uint16Array Int32Array Uint32Array Float32Array Float64Array BigInt64Array BigUint64Array Float16Array"
    .split(" ");

/** The number of the kind of a binary value; -1 for what is none. */
export function binaryKind(value: object): number {
  return ArrayBuffer.isView(value) || value instanceof ArrayBuffer
    ? KINDS.indexOf((value as unknown as Record<symbol, string>)[Symbol.toStringTag]!)
    : -1;
}

interface Range {
  readonly buffer: ArrayBuffer;
  /** The place of the buffer among those of the value. */
  readonly rank: number;
  readonly start: number;
  readonly end: number;
  chunk: number;
  offset: number;
}

/** The binary values of one encoded value. */
export class BinaryRanges {
  readonly #ranges: Range[] = [];
  readonly #ranks = new Map<ArrayBuffer, number>();

  /** Adds one; false if it lies in shared memory. */
  add(value: ArrayBuffer | ArrayBufferView): boolean {
    const { buffer, byteOffset: start } = ArrayBuffer.isView(value) ? value : { buffer: value, byteOffset: 0 };
    if (!(buffer instanceof ArrayBuffer)) return false;
    const rank = this.#ranks.get(buffer) ?? this.#ranks.size;
    this.#ranks.set(buffer, rank);
    this.#ranges.push({ buffer, rank, start, end: start + value.byteLength, chunk: 0, offset: 0 });
    return true;
  }

  /** Inserts the table at `position` of what was written, and adds what is large to `segments`. */
  insert(writer: Writer, position: number, segments: Uint8Array[]): void {
    const sorted = [...this.#ranges].sort((a, b) => a.rank - b.rank || a.start - b.start);
    const table = new Writer();
    let chunks = 0;
    for (let i = 0; i < sorted.length; chunks++) {
      const { buffer, rank, start, end } = sorted[i]!;
      let to = end;
      let next = i + 1;
      for (; sorted[next]?.rank === rank && sorted[next]!.start <= to; next++) to = Math.max(to, sorted[next]!.end);
      // Elements must stay aligned to their size for every view of the chunk, as they are in the buffer.
      const padding = next - i > 1 ? start % 8 : 0;
      let chunk = new Uint8Array(buffer, start, to - start);
      if (padding > 0) {
        chunk = new Uint8Array(padding + to - start);
        chunk.set(new Uint8Array(buffer, start, to - start), padding);
      }
      const size = chunk.length;
      if (size > LIMITS.inlineBytes && segments.length < LIMITS.segments) {
        table.varint(size * 2 + 1);
        table.varint(segments.length);
        segments.push(chunk);
      } else {
        table.varint(size * 2);
        table.raw(chunk);
      }
      for (; i < next; i++) {
        sorted[i]!.chunk = chunks;
        sorted[i]!.offset = sorted[i]!.start - start + padding;
      }
    }
    const head = new Writer(16);
    head.tagged(BINARY_TABLE, chunks);
    table.insert(0, head);
    table.varint(this.#ranges.length);
    for (const { chunk, offset, start, end } of this.#ranges) {
      table.varint(chunk);
      table.varint(offset);
      table.varint(end - start);
    }
    writer.insert(position, table);
  }
}

/** A part of a buffer. */
export interface View {
  /** The buffer. */
  readonly buffer: ArrayBuffer;
  /** Where it begins in that. */
  readonly offset: number;
  /** Its bytes. */
  readonly length: number;
}

/** Reads the table; `take` hands out segments. The first view is the last of the result. */
export function readViews(reader: Reader, take: (index: number) => ArrayBuffer): View[] {
  const chunks: ArrayBuffer[] = [];
  for (let left = reader.varint(); left > 0; left--) {
    const header = reader.varint();
    const size = Math.floor(header / 2);
    const chunk = header % 2 ? take(reader.varint()) : reader.copy(size);
    if (chunk.byteLength !== size) malformed("segment");
    chunks.push(chunk);
  }
  const views: View[] = [];
  for (let left = reader.varint(); left > 0; left--) {
    const buffer = chunks[reader.varint()] ?? malformed("view");
    const view = { buffer, offset: reader.varint(), length: reader.varint() };
    if (view.offset + view.length > buffer.byteLength) malformed("view");
    views.push(view);
  }
  return views.reverse();
}

/** Makes a binary value of a kind. */
export function makeView(kind: number, view: View | undefined): object {
  const name = KINDS[kind];
  if (!view || !name) malformed("view");
  const { buffer, offset, length } = view;
  if (kind === 0) return length === buffer.byteLength ? buffer : malformed("view");
  const View = (globalThis as unknown as Record<string, Uint8ArrayConstructor>)[name];
  if (!View) throw new OperationError(`Cannot receive a ${name}, which this runtime does not have`);
  const size = View.BYTES_PER_ELEMENT ?? 1;
  if (offset % size || length % size) malformed("view");
  return new View(buffer, offset, length / size);
}
