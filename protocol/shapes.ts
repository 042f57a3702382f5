/**
 * Shapes: the keys of a record, which are sent once in a message and remembered by both sides beyond it, so that what costs time is
 * done once for a connection. What the values of a record are is not known here.
 *
 * @module
 */

import { malformed, Reader } from "./reader.ts";
import { Writer } from "./writer.ts";

/** Records of more keys than this are dictionaries: their keys hardly come twice. */
export const SHAPE_KEYS = 64;
// Both sides remember one shape for each of these places: bounded, whatever comes.
const PLACES = 256;
const REMEMBERED_BYTES = 1024;

/** The keys of a record, in order. */
export interface Shape {
  /** The keys. */
  readonly keys: readonly string[];
  /** As it is defined in a message: the number of bytes that follow, the number of keys, the keys. */
  readonly definition: Uint8Array;
  /** Whether the records may be thenables. */
  readonly then: boolean;
  /** The message that defined it last. */
  message: number;
  /** Its number in that message. */
  index: number;
}

function sameKeys(a: readonly string[], b: readonly string[]): boolean {
  let i = a.length;
  if (i !== b.length) return false;
  while (i--) if (a[i] !== b[i]) return false;
  return true;
}

/** The shapes that an encoder has met. */
export class KnownShapes {
  #places: Shape[] = [];
  #last: Shape | undefined;

  /** The shape that was found last, if the object has just its keys, and `then` is none of them. */
  again(object: object): Shape | undefined {
    const last = this.#last;
    if (!last || last.then) return undefined;
    let i = 0;
    for (const key in object) if (key !== last.keys[i++]) return undefined;
    return i === last.keys.length ? last : undefined;
  }

  /** Finds or makes the shape with these keys. */
  find(keys: readonly string[]): Shape {
    const last = this.#last;
    if (last && sameKeys(keys, last.keys)) return last;
    let hash = keys.length;
    for (const key of keys) hash = hash * 31 + key.length + key.charCodeAt(0) | 0;
    const known = this.#places[hash & PLACES - 1];
    if (known && sameKeys(keys, known.keys)) return this.#last = known;
    const body = new Writer(64);
    body.varint(keys.length);
    for (const key of keys) body.string(key);
    const whole = new Writer(64);
    whole.varint(body.position);
    whole.raw(body.bytes.subarray(0, body.position));
    const definition = whole.bytes.subarray(0, whole.position);
    const shape = { keys, definition, then: keys.includes("then"), message: 0, index: 0 };
    if (definition.length <= REMEMBERED_BYTES) this.#places[hash & PLACES - 1] = shape;
    return this.#last = shape;
  }
}

/** What a decoder knows of a shape. */
export interface DecodedShape {
  /** The keys. */
  readonly keys: readonly string[];
  /** Whether a key has a meaning on `Object.prototype`, so that it must be defined, not assigned, or may make a thenable. */
  readonly special: boolean;
  /** The bytes that defined it. */
  readonly definition: Uint8Array;
}

/** The shapes that a decoder has met. */
export class DecodedShapes {
  #places: DecodedShape[] = [];

  /** Reads the definition of a shape. */
  define(reader: Reader): DecodedShape {
    const size = reader.varint();
    const at = reader.skip(size);
    const bytes = reader.bytes;
    let hash = size;
    for (let i = at; i < at + size; i++) hash = (hash * 31 + bytes[i]!) | 0;
    const known = this.#places[hash & PLACES - 1];
    if (known && sameBytes(known.definition, bytes, at, size)) return known;
    reader.position = at;
    const definition = new Uint8Array(reader.copy(size));
    const inner = new Reader();
    inner.reset(definition);
    const keys: string[] = [];
    for (let left = inner.varint(); left > 0; left--) keys.push(inner.string());
    if (inner.position < size || new Set(keys).size < keys.length) malformed("shape");
    const shape = { keys, special: keys.some((key) => key === "then" || key in Object.prototype), definition };
    if (size <= REMEMBERED_BYTES) this.#places[hash & PLACES - 1] = shape;
    return shape;
  }
}

function sameBytes(a: Uint8Array, b: Uint8Array, at: number, size: number): boolean {
  if (a.length !== size) return false;
  for (let i = 0; i < size; i++) if (a[i] !== b[at + i]) return false;
  return true;
}
