/**
 * Messages put together by hand, byte by byte, as no end of across would send them. Who sends them is in `raw_peer.ts`.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { Encoder } from "../../protocol/encoder.ts";
import { FRAME } from "../../protocol/frames.ts";
import { ACTION, BASE, REFERENCE, WANT } from "../../protocol/messages.ts";
import { Writer } from "../../protocol/writer.ts";

/** Writes something where a value is expected, or in a message. */
export type Write = (writer: Writer) => void;

/** What of a value is written by hand: behind the codec's tag for references. */
export class Raw {
  readonly write: Write;

  constructor(write: Write) {
    this.write = write;
  }
}

/** What a hand-made CALL says; what is left out is harmless. */
export interface RawCall {
  /** Without one the next that is free. */
  readonly id?: number;
  readonly flags?: number;
  readonly base: Write;
  readonly path?: readonly string[] | Write;
  readonly action?: number;
  readonly args?: readonly unknown[] | Write;
}

/** Bases of calls. */
export const base = {
  defined: (number: number): Write => (w) => w.tagged(BASE.DEFINED, number),
  handle: (handle: number): Write => (w) => w.tagged(BASE.HANDLE, handle),
  result: (id: number): Write => (w) => w.tagged(BASE.RESULT, id),
  root: ((w) => w.u8(BASE.ROOT)) as Write,
  module: (specifier: string): Write => (w) => {
    w.u8(BASE.MODULE);
    w.string(specifier);
  },
  value: (value: unknown): Write => (w) => {
    w.u8(BASE.VALUE);
    writeValue(w, value);
  },
  source: (source: string, variables: unknown = {}): Write => (w) => {
    w.u8(BASE.SOURCE);
    w.string(source);
    writeValue(w, variables);
  },
};

/** References as values. */
export const reference = {
  yours: (handle: number): Raw => new Raw((w) => w.tagged(REFERENCE.YOURS, handle)),
  mine: (kind: number, handle: number, name = "thing"): Raw =>
    new Raw((w) => {
      w.tagged(kind, handle);
      w.string(name);
    }),
  pending: (origin: Write, path: readonly string[] = []): Raw =>
    new Raw((w) => {
      w.u8(REFERENCE.PENDING);
      origin(w);
      writePath(w, path);
    }),
  code: (definition: number): Raw => new Raw((w) => w.tagged(REFERENCE.CODE, definition)),
  blob: (number: number): Raw =>
    new Raw((w) => {
      w.tagged(REFERENCE.BLOB, number);
      w.string("text/plain");
    }),
};

function writePath(writer: Writer, path: readonly string[]): void {
  writer.varint(path.length);
  for (const part of path) writer.string(part);
}

const encoder = new Encoder({
  classId: () => undefined,
  external(writer, value) {
    if (value instanceof Raw) value.write(writer);
    return value instanceof Raw;
  },
});

/** Writes a value as an end of across would, but for what is {@linkcode Raw} in it. */
export function writeValue(writer: Writer, value: unknown): void {
  encoder.begin();
  encoder.value(writer, value, "value");
  assertEquals(encoder.segments.length, 0, "The value is too large for a message in one frame");
}

/** The bytes that are written. */
export function written(write: Write): Uint8Array<ArrayBuffer> {
  const writer = new Writer(64);
  write(writer);
  return writer.bytes.slice(0, writer.position);
}

/** A frame. */
export function frame(kind: number, payload: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(4 + payload.length);
  new DataView(bytes.buffer).setUint32(0, kind | payload.length << 8, true);
  bytes.set(payload, 4);
  return bytes;
}

/** The payloads of the frames of one large message. */
export function parts(number: number, body: Uint8Array, segments: readonly Uint8Array[] = []): Uint8Array[] {
  const whole = written((w) => {
    w.u32(body.length);
    w.u32(segments.length);
    for (const segment of segments) w.f64(segment.length);
    w.raw(body);
    for (const segment of segments) w.raw(segment);
  });
  const frames: Uint8Array[] = [];
  for (let at = 0; at === 0 || at < whole.length; at += 65_000) {
    const payload = written((w) => {
      w.u32(number);
      w.raw(whole.subarray(at, at + 65_000));
    });
    frames.push(frame(at + 65_000 < whole.length ? FRAME.PART : FRAME.LAST, payload));
  }
  return frames;
}

/** A harmless hello. */
export const HELLO = {
  runtime: "raw",
  version: "1",
  across: "0",
  timeout: 60_000,
  modules: true,
  calls: true,
};

/** A frame with a whole message in it. */
export function messageFrame(kind: number, write: Write = () => {}): Uint8Array<ArrayBuffer> {
  return frame(
    FRAME.MESSAGE,
    written((w) => {
      w.u8(kind);
      write(w);
    }),
  );
}

/** Writes what follows the kind of a CALL. */
export function writeCall(
  w: Writer,
  { id = 0, flags = WANT.VALUE, base, path = [], action = ACTION.CALL, args = [] }: RawCall,
): void {
  w.varint(id);
  w.u8(flags);
  base(w);
  if (typeof path === "function") path(w);
  else writePath(w, path);
  w.u8(action);
  if (typeof args === "function") args(w);
  else writeValue(w, args);
}
