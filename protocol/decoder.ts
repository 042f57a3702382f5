/**
 * Bytes that nobody vouches for to values. What is not of the protocol is a `ProtocolError`; what is, but cannot be had here, fails the
 * one value with an `OperationError`, after all of it was read.
 *
 * @module
 */

import { makeView, readViews, type View } from "./binaries.ts";
import { readBuiltin, type ValueReader } from "./builtins.ts";
import type { AnyConstructor } from "./encoder.ts";
import { OperationError, ProtocolError } from "./errors.ts";
import { defineErrorProperty, DOM_EXCEPTION, makeError } from "./errors_codec.ts";
import { LIMITS } from "./limits.ts";
import { decodeText, malformed, type Reader } from "./reader.ts";
import { type DecodedShape, DecodedShapes } from "./shapes.ts";
import * as tag from "./tags.ts";

/** What the decoder asks the session. */
export interface DecodeContext {
  /** The class of that id. Throws an `OperationError` where there is none. */
  classById(id: number): AnyConstructor;
  /** Reads what `EncodeContext.external` wrote. An `OperationError` is to be thrown only after all of it was read. */
  external(reader: Reader): unknown;
  /** Called with each error that was decoded, to complete its stack. */
  error?(error: Error): void;
}

/** A class that says itself how its instances travel. */
interface CustomClass {
  acrossDecode?(fields: unknown): unknown;
}

/** In the table of objects: one that does not exist before what it contains was read. */
const PENDING = {};

/** Decodes the values of one message after another. */
export class Decoder implements ValueReader {
  readonly #context: DecodeContext;
  readonly #shapes = new DecodedShapes();
  #segments: (ArrayBuffer | undefined)[] = [];
  // The objects of the message in order, as far as they are known.
  #objects: unknown[] = [];
  #defined: DecodedShape[] = [];
  #views: View[] = [];
  #text = "";
  #textPosition = 0;
  #depth = 0;
  #failure: OperationError | undefined;

  /** Makes a decoder for one direction of one connection. */
  constructor(context: DecodeContext) {
    this.#context = context;
  }

  /** Starts a message. Its segments become the buffers of what it contains, without a copy. Called after a message, it lets go of what was in that. */
  begin(segments: readonly ArrayBuffer[]): void {
    if (this.#objects.length > 0) this.#objects = [];
    if (this.#defined.length > 0) this.#defined = [];
    this.#text = "";
    this.#textPosition = 0;
    this.#segments = segments.length > 0 ? segments.slice() : [];
  }

  /**
   * Reads a value.
   *
   * @param reader where from; behind the value afterwards, also when an `OperationError` is thrown, unless it is about depth or size
   * @returns the value
   * @throws {OperationError} when something in it cannot be had here
   * @throws {ProtocolError} when it is malformed
   */
  value(reader: Reader): unknown {
    const outer = this.#depth;
    const views = this.#views;
    try {
      if (reader.peek() === tag.BINARY_TABLE && reader.u8()) {
        this.#views = readViews(reader, (index) => this.#segment(index));
      }
      const value = this.#value(reader);
      if (outer === 0 && this.#failure) throw this.#failure;
      return value;
    } catch (error) {
      if (error instanceof OperationError || error instanceof ProtocolError) throw error;
      // Of the engine: what is asked for is too deep or too large. What follows cannot be read, either.
      reader.position = reader.end;
      throw new OperationError(`Cannot receive a value: ${(error as Error).message}`, { cause: error });
    } finally {
      this.#depth = outer;
      this.#views = views;
      if (outer === 0) this.#failure = undefined;
    }
  }

  /** As {@linkcode value}, but gives an `OperationError` in the place of a value that cannot be had. */
  outcome(reader: Reader): unknown {
    try {
      return this.value(reader);
    } catch (error) {
      if (error instanceof OperationError) return error;
      throw error;
    }
  }

  /** Reads a value within another one. */
  child(reader: Reader): unknown {
    return this.#value(reader);
  }

  /** Takes an object into the table of those that may be referred to. */
  keep<T>(object: T): T {
    this.#objects.push(object);
    return object;
  }

  #segment(index: number): ArrayBuffer {
    const segment = this.#segments[index] ?? malformed("segment");
    this.#segments[index] = undefined;
    return segment;
  }

  #value(r: Reader): unknown {
    return this.#tagged(r, r.u8());
  }

  /** Reads what follows the tag `t`. */
  #tagged(r: Reader, t: number): unknown {
    if (t < tag.SHORT_STRING) return t;
    if (t < tag.SHORT_ARRAY) return r.ascii(t - tag.SHORT_STRING);
    if (t < tag.UNDEFINED) {
      this.#deeper();
      const value = t < tag.SHORT_RECORD
        ? this.#array(r, t - tag.SHORT_ARRAY)
        : this.#record(r, t, this.keep({}), true);
      this.#depth--;
      return value;
    }
    switch (t) {
      case tag.UNDEFINED:
        return undefined;
      case tag.NULL:
        return null;
      case tag.FALSE:
        return false;
      case tag.TRUE:
        return true;
      case tag.INTEGER:
        return r.varint();
      case tag.NEGATIVE:
        return -1 - r.varint();
      case tag.DOUBLE:
        return r.f64();
      case tag.TEXT_STRING: {
        const start = this.#textPosition;
        this.#textPosition += r.varint();
        if (this.#textPosition > this.#text.length) malformed("text");
        return this.#text.slice(start, this.#textPosition);
      }
      case tag.BIGINT:
        return toBigint(r.string());
      case tag.STRING:
        return r.string();
      case tag.SEGMENT_STRING:
        return decodeText(new Uint8Array(this.#segment(r.varint())));
      case tag.SYMBOL:
        return this.#wellKnown(r.string());
      case tag.REGISTERED_SYMBOL:
        return Symbol.for(r.string());
      case tag.BACK:
        return this.#back(r.varint());
      case tag.TEXT:
        this.#text = r.string();
        this.#textPosition = 0;
        if (this.#text.length > LIMITS.text || r.peek() === tag.TEXT) malformed("text");
        return this.#value(r);
    }
    this.#deeper();
    const number = this.#objects.length;
    let value: unknown;
    try {
      value = this.#object(r, t);
    } catch (error) {
      // All of this object was read. The rest is too, lest a reference in it is forgotten.
      if (!(error instanceof OperationError)) throw error;
      this.#fail(error);
      if (this.#objects.length === number) this.keep(undefined);
    }
    this.#depth--;
    return value;
  }

  #deeper(): void {
    if (++this.#depth > LIMITS.depth) throw new RangeError(`It is nested deeper than ${LIMITS.depth} levels`);
  }

  #fail(error: OperationError): undefined {
    this.#failure ??= error;
  }

  #wellKnown(name: string): symbol | undefined {
    const symbol = Object.hasOwn(Symbol, name) ? (Symbol as unknown as Record<string, unknown>)[name] : undefined;
    return typeof symbol === "symbol"
      ? symbol
      : this.#fail(new OperationError("Cannot receive a well-known symbol that this runtime does not have"));
  }

  #back(number: number): unknown {
    if (number >= this.#objects.length) malformed("reference");
    const object = this.#objects[number];
    return object !== PENDING
      ? object
      : this.#fail(new OperationError("Cannot receive an object that acrossEncode() made contain itself"));
  }

  #object(r: Reader, t: number): unknown {
    switch (t) {
      case tag.ARRAY:
        return this.#array(r, r.varint());
      case tag.SPARSE_ARRAY:
        return this.#sparse(r);
      case tag.RECORD:
      case tag.DICTIONARY:
        return this.#record(r, t, this.keep({}), true);
      case tag.NULL_OBJECT:
        return this.#record(r, r.u8(), this.keep(Object.create(null)), true);
      case tag.INSTANCE:
        return this.#instance(r);
      case tag.DERIVED:
        return this.#derived(r);
      case tag.CUSTOM:
        return this.#later(() => this.#custom(r));
      case tag.EXTERNAL:
        return this.#later(() => this.#context.external(r));
      case tag.ERROR:
        return this.#error(r);
      case tag.BINARY:
        return this.keep(makeView(r.u8(), this.#views.pop()));
      default:
        return readBuiltin(t - tag.BUILTIN, r, this) ?? malformed(`value of kind ${t}`);
    }
  }

  /** Makes an object that does not exist before what it contains. */
  #later(make: () => unknown): unknown {
    const number = this.#objects.push(PENDING) - 1;
    let value: unknown;
    try {
      return value = make();
    } finally {
      this.#objects[number] = value;
    }
  }

  #array(r: Reader, n: number): unknown[] {
    const array: unknown[] = this.keep([]);
    // Not allocated beforehand: the number is only a claim.
    for (let i = 0; i < n; i++) {
      const t = r.u8();
      if (t === tag.HOLE) array.length++;
      else array.push(this.#tagged(r, t));
    }
    return array;
  }

  #sparse(r: Reader): unknown[] {
    const array: unknown[] = this.keep([]);
    const n = r.varint();
    if (n > 0xffffffff) malformed("array");
    // This length makes engines take memory for the elements there are only.
    array.length = 0xffffffff;
    this.#record(r, r.u8(), array);
    array.length = n;
    return array;
  }

  #shape(r: Reader, t: number): DecodedShape {
    const index = t < tag.UNDEFINED ? t - tag.SHORT_RECORD : r.varint();
    if (index === this.#defined.length) this.#defined.push(this.#shapes.define(r));
    return this.#defined[index] ?? malformed("shape");
  }

  /** Reads properties into `target`. */
  #record<T extends object>(r: Reader, t: number, target: T, plain = false): T {
    if (t === tag.DICTIONARY) {
      for (let left = r.varint(); left > 0; left--) define(target, r.string(), this.#value(r));
    } else {
      if (t < tag.SHORT_RECORD || (t >= tag.UNDEFINED && t !== tag.RECORD)) malformed("record");
      const { keys, special } = this.#shape(r, t);
      if (plain && !special) {
        for (let i = 0; i < keys.length; i++) (target as Record<string, unknown>)[keys[i]!] = this.#value(r);
        return target;
      }
      for (const key of keys) define(target, key, this.#value(r));
    }
    // No `await` of ours may call what the peer chose.
    if (Object.hasOwn(target, "then") && typeof (target as { then: unknown }).then === "function") {
      this.#fail(new OperationError("Cannot receive an object with a function named then"));
    }
    return target;
  }

  #class(id: number): (AnyConstructor & CustomClass) | undefined {
    try {
      return this.#context.classById(id);
    } catch (error) {
      if (!(error instanceof OperationError)) throw error;
      return this.#fail(error);
    }
  }

  #instance(r: Reader): object {
    const object = this.keep(Object.create(this.#class(r.varint())?.prototype ?? null));
    return this.#record(r, r.u8(), object);
  }

  #derived(r: Reader): unknown {
    const Class = this.#class(r.varint());
    const t = r.peek();
    if (t < tag.BUILTIN && t !== tag.SPARSE_ARRAY) malformed("instance");
    // It is one level only, as it is one object.
    this.#depth--;
    const object = this.#value(r) as object | undefined;
    this.#depth++;
    if (Class && object) Object.setPrototypeOf(object, Class.prototype);
    return t < tag.BUILTIN ? object : this.#record(r, r.u8(), object ?? {});
  }

  #custom(r: Reader): unknown {
    const Class = this.#class(r.varint());
    const fields = this.#value(r);
    if (!Class || this.#failure) return undefined;
    try {
      return Class.acrossDecode!(fields);
    } catch (cause) {
      throw new OperationError(`Cannot receive an instance of ${Class.name}: its acrossDecode() failed or is missing`, {
        cause,
      });
    }
  }

  #error(r: Reader): Error {
    const kind = r.u8();
    const id = r.varint();
    const dom = kind === DOM_EXCEPTION;
    const error = this.keep(
      makeError(kind, dom ? r.string() : "", dom ? r.string() : "") ?? malformed("error"),
    );
    const failure = this.#failure;
    const Class = id > 0 ? this.#class(id - 1) : undefined;
    // An error whose class is not to be had is still that error.
    this.#failure = failure;
    if (Class?.prototype instanceof Error) Object.setPrototypeOf(error, Class.prototype);
    const fields: Record<string, unknown> = this.#record(r, r.u8(), Object.create(null), true);
    // Where there is none, ours says nothing but how it was decoded.
    fields["stack"] ??= "";
    for (const key of Object.keys(fields)) defineErrorProperty(error, key, fields[key]);
    this.#context.error?.(error);
    return error;
  }
}

function define(target: object, key: string, value: unknown): void {
  Object.defineProperty(target, key, { value, writable: true, enumerable: true, configurable: true });
}

function toBigint(digits: string): bigint {
  if (digits.length > LIMITS.bigintDigits + 1 || !/^-?[0-9a-f]+$/.test(digits)) malformed("bigint");
  return digits[0] === "-" ? -BigInt(`0x${digits.slice(1)}`) : BigInt(`0x${digits}`);
}
