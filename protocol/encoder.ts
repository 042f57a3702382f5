/**
 * Values to bytes. Which classes have names and what travels by reference is the context's business. docs/values.md has the rules and
 * the form of each kind.
 *
 * @module
 */

import { binaryKind, BinaryRanges } from "./binaries.ts";
import { type ValueWriter, writeBuiltin } from "./builtins.ts";
import { traitsOf } from "./classes.ts";
import { DOM_EXCEPTION, errorKeys, errorKind } from "./errors_codec.ts";
import { LIMITS } from "./limits.ts";
import { complaint, passing, Refusal, stepTo } from "./refusals.ts";
import { KnownShapes, type Shape, SHAPE_KEYS } from "./shapes.ts";
import * as tag from "./tags.ts";
import { Writer } from "./writer.ts";

/** A class, whatever its constructor takes. */
export type AnyConstructor = abstract new (...args: never[]) => object;

/** What the encoder asks the session. */
export interface EncodeContext {
  /** Id under which the peer knows this class (public or exported), defining it if need be; `undefined` when it has no name. */
  classId(constructor: AnyConstructor): number | undefined;
  /**
   * Writes what follows the tag of a value that the session looks after: functions (also proxies, which are functions to `typeof`),
   * references, promises, streams, signals, async iterables, blobs. False, and nothing written, for everything else. It is asked once
   * for each object of a message; where that occurs again, it is referred to.
   */
  external(writer: Writer, value: object): boolean;
  /** What the stack of an error is to be over there. */
  stack?(text: string): string;
}

/** A class that says itself how its instances travel. */
interface CustomClass {
  acrossEncode?(instance: object): unknown;
}

// As many objects are looked through one by one, which takes less time than to make a map.
const FEW = 8;
// Strings of a message, beyond the first few, share blocks of text: one call makes or reads hundreds of them.
const SINGLE_STRINGS = 8;

/** Encodes the values of one message after another. */
export class Encoder implements ValueWriter {
  /** Large binary values and strings of the message, to be sent behind it. The binary ones are no copies. */
  segments: Uint8Array[] = [];
  readonly #context: EncodeContext;
  readonly #shapes = new KnownShapes();
  #message = 0;
  #definedShapes = 0;
  #depth = 0;
  // The objects of the message in order.
  #few: object[] | undefined;
  #many: Map<object, number> | undefined;
  #binaries: BinaryRanges | undefined;
  #strings = 0;
  #text = "";
  #textStart = 0;
  #block: Writer | undefined;

  /** Makes an encoder for one direction of one connection. */
  constructor(context: EncodeContext) {
    this.#context = context;
  }

  /** Starts a message, also after a failure. Called after a message, it lets go of what was in that. */
  begin(): void {
    this.#message++;
    this.#definedShapes = this.#strings = 0;
    this.#text = "";
    this.#few = this.#many = undefined;
    if (this.segments.length > 0) this.segments = [];
  }

  /**
   * Writes a value. Within a message, objects that occur again are referred to.
   *
   * @param writer where to
   * @param value what
   * @param where what the caller calls the value, as `args[0]`, for messages
   * @throws {OperationError} when something in it cannot travel. Take back what was written, and `begin()` anew
   */
  value(writer: Writer, value: unknown, where: string): void {
    const start = writer.position;
    const outer = this.#depth;
    try {
      this.#value(writer, value);
    } catch (error) {
      this.#depth = outer;
      if (outer === 0) this.#binaries = undefined;
      throw complaint(error, where);
    }
    if (this.#text) this.#flush(writer);
    if (outer === 0 && this.#binaries) {
      this.#binaries.insert(writer, start, this.segments);
      this.#binaries = undefined;
    }
  }

  /** Writes a value that belongs to an entry of the one being written. */
  child(writer: Writer, value: unknown, entry: number): void {
    try {
      this.#value(writer, value);
    } catch (error) {
      throw passing(error, `<entry ${entry}>`);
    }
  }

  #value(w: Writer, v: unknown): void {
    switch (typeof v) {
      case "string":
        return this.#string(w, v);
      case "number":
        if ((v | 0) !== v || (v === 0 && 1 / v < 0)) {
          w.u8(tag.DOUBLE);
          w.f64(v);
        } else if (v < 0) w.tagged(tag.NEGATIVE, -1 - v);
        else if (v > 127) w.tagged(tag.INTEGER, v);
        else w.u8(v);
        return;
      case "boolean":
        return w.u8(v ? tag.TRUE : tag.FALSE);
      case "undefined":
        return w.u8(tag.UNDEFINED);
      case "bigint":
        return this.#bigint(w, v);
      case "symbol":
        return this.#symbol(w, v);
      default:
        return v === null ? w.u8(tag.NULL) : this.#object(w, v as object);
    }
  }

  #string(w: Writer, v: string): void {
    const n = v.length;
    if (this.#strings < SINGLE_STRINGS) {
      this.#strings++;
      if (n < 32 && w.ascii(v, tag.SHORT_STRING + n)) return;
    } else if (n < LIMITS.text / 8) {
      if (this.#text.length + n > LIMITS.text) this.#flush(w);
      if (!this.#text) this.#textStart = w.position;
      this.#text += v;
      return w.tagged(tag.TEXT_STRING, n);
    }
    if (n > LIMITS.inlineBytes && this.segments.length < LIMITS.segments && v.isWellFormed()) {
      w.tagged(tag.SEGMENT_STRING, this.segments.length);
      this.segments.push(new TextEncoder().encode(v));
      return;
    }
    w.u8(tag.STRING);
    w.string(v);
  }

  /** Puts the text that was collected in front of the first value that it is for. */
  #flush(w: Writer): void {
    const block = this.#block ??= new Writer(LIMITS.text * 3 + 16);
    block.position = 0;
    block.u8(tag.TEXT);
    block.string(this.#text);
    w.insert(this.#textStart, block);
    this.#text = "";
  }

  #bigint(w: Writer, v: bigint): void {
    const digits = v.toString(16);
    if (digits.length > LIMITS.bigintDigits) throw new Refusal("a bigint that is too large");
    w.u8(tag.BIGINT);
    w.string(digits);
  }

  #symbol(w: Writer, v: symbol): void {
    const registered = Symbol.keyFor(v);
    const name = v.description?.replace("Symbol.", "") ?? "";
    if (registered === undefined && (Symbol as unknown as Record<string, unknown>)[name] !== v) {
      throw new Refusal("a symbol that no other process has: use Symbol.for()");
    }
    w.u8(registered === undefined ? tag.SYMBOL : tag.REGISTERED_SYMBOL);
    w.string(registered ?? name);
  }

  /** The number of an object that the message contains already; -1 for a new one, which gets the next number. */
  #numberOf(v: object): number {
    if (this.#many === undefined) {
      const few = this.#few ??= [];
      const number = few.indexOf(v);
      if (number < 0 && few.push(v) > FEW) this.#many = new Map(few.map((object, index) => [object, index]));
      return number;
    }
    const number = this.#many.get(v);
    if (number !== undefined) return number;
    this.#many.set(v, this.#many.size);
    return -1;
  }

  #object(w: Writer, v: object): void {
    const number = this.#numberOf(v);
    if (number >= 0) return w.tagged(tag.BACK, number);
    if (++this.#depth > LIMITS.depth) {
      throw new Refusal(`which is nested deeper than ${LIMITS.depth} levels: pass ref() of it`);
    }
    const prototype = Object.getPrototypeOf(v);
    if (prototype === Array.prototype && Array.isArray(v)) this.#array(w, v);
    else if (prototype === Object.prototype && !(Symbol.asyncIterator in v)) this.#plain(w, v);
    else this.#other(w, v, prototype);
    this.#depth--;
  }

  #array(w: Writer, v: readonly unknown[]): void {
    const n = v.length;
    if (n > 1024 && v.includes(undefined)) {
      const keys = Object.keys(v);
      if (keys.length < n / 2) return this.#sparse(w, v, keys);
    }
    if (n < 16) w.u8(tag.SHORT_ARRAY + n);
    else w.tagged(tag.ARRAY, n);
    let i = 0;
    try {
      for (; i < n; i++) {
        const item = v[i];
        if (item === undefined && !(i in v)) w.u8(tag.HOLE);
        else this.#value(w, item);
      }
    } catch (error) {
      throw passing(error, i);
    }
  }

  #sparse(w: Writer, v: readonly unknown[], keys: readonly string[]): void {
    w.tagged(tag.SPARSE_ARRAY, v.length);
    this.#record(w, v, keys);
  }

  /** Writes a plain object. Most have the keys of the one before; then `for in` is much the fastest way to its properties. */
  #plain(w: Writer, v: object): void {
    const shape = this.#shapes.again(v);
    if (!shape) return this.#record(w, v, Object.keys(v));
    this.#shape(w, shape);
    const { keys } = shape;
    let i = 0;
    try {
      for (const key in v) {
        if (key === keys[i]) {
          this.#value(w, (v as Record<string, unknown>)[key]);
          i++;
        }
      }
    } catch (error) {
      throw passing(error, stepTo(keys[i]!));
    }
    if (i !== keys.length) throw new Refusal("an object that changes while it is read");
  }

  /** Writes properties. */
  #record(w: Writer, v: object, keys: readonly string[]): void {
    const n = keys.length;
    if (n <= SHAPE_KEYS) this.#shape(w, this.#shapes.find(keys));
    else w.tagged(tag.DICTIONARY, n);
    for (const key of keys) {
      if (n > SHAPE_KEYS) w.string(key);
      const item = (v as Record<string, unknown>)[key];
      try {
        if (key === "then" && typeof item === "function") {
          throw new Refusal("a function that would make a promise of its object: pass a Promise");
        }
        this.#value(w, item);
      } catch (error) {
        throw passing(error, stepTo(key));
      }
    }
  }

  /** Writes the head of a record: the number of its shape and, once in a message, its keys. */
  #shape(w: Writer, shape: Shape): void {
    const defined = shape.message === this.#message;
    if (!defined) {
      shape.message = this.#message;
      shape.index = this.#definedShapes++;
    }
    if (shape.index < 16) w.u8(tag.SHORT_RECORD + shape.index);
    else w.tagged(tag.RECORD, shape.index);
    if (!defined) w.raw(shape.definition);
  }

  #other(w: Writer, v: object, prototype: object | null): void {
    const start = w.position;
    const callable = typeof v === "function";
    // Without prototype, or of the Object of another realm.
    const plain = !callable &&
      (prototype === null || Object.getPrototypeOf(prototype) === null && "isPrototypeOf" in prototype);
    if (!plain && !callable && this.#byValue(w, v, prototype!)) return;
    if (!plain || Symbol.asyncIterator in v) {
      w.u8(tag.EXTERNAL);
      if (this.#context.external(w, v)) return;
      w.position = start;
    }
    if (callable) throw new Refusal("a function that cannot be passed");
    if (!plain) return this.#instance(w, v, prototype!);
    if (prototype === null) w.u8(tag.NULL_OBJECT);
    this.#record(w, v, Object.keys(v));
  }

  /** Writes what needs no name of a class that is not of the language; false if it is nothing of that. */
  #byValue(w: Writer, v: object, prototype: object): boolean {
    const { base, exact } = traitsOf(prototype);
    if (exact && base! >= 0) {
      this.#builtin(w, v, base!);
      return true;
    }
    const constructor = prototype.constructor as CustomClass | undefined;
    if (typeof constructor?.acrossEncode === "function") {
      const id = this.#classId(constructor, prototype);
      if (id !== undefined) {
        w.tagged(tag.CUSTOM, id);
        this.#value(w, constructor.acrossEncode(v));
        return true;
      }
    }
    const kind = binaryKind(v);
    if (kind >= 0) {
      if (!(this.#binaries ??= new BinaryRanges()).add(v as ArrayBufferView)) {
        throw new Refusal("shared memory: pass a copy, as of slice()");
      }
      w.tagged(tag.BINARY, kind);
      return true;
    }
    if (!(v instanceof Error)) return false;
    this.#error(w, v);
    return true;
  }

  #builtin(w: Writer, v: object, number: number): void {
    w.u8(tag.BUILTIN + number);
    writeBuiltin(number, w, v, this);
  }

  #error(w: Writer, v: Error): void {
    let id: number | undefined;
    const kind = errorKind(v, (prototype) => (id = this.#classId(prototype.constructor, prototype)) !== undefined);
    w.tagged(tag.ERROR, kind);
    w.varint(id === undefined ? 0 : id + 1);
    if (kind === DOM_EXCEPTION) {
      w.string(v.name);
      w.string(v.message);
    }
    const keys = errorKeys(v, kind);
    const { stack } = v;
    const told = typeof stack === "string" ? this.#context.stack?.(stack) ?? stack : stack;
    if (told === stack) return this.#record(w, v, keys);
    this.#record(w, Object.fromEntries(keys.map((key) => [key, key === "stack" ? told : v[key as keyof Error]])), keys);
  }

  #classId(constructor: unknown, prototype: object): number | undefined {
    return typeof constructor === "function" && constructor.prototype === prototype
      ? this.#context.classId(constructor as unknown as AnyConstructor)
      : undefined;
  }

  #instance(w: Writer, v: object, prototype: object): void {
    const { base, platform } = traitsOf(prototype);
    const id = platform ? undefined : this.#classId(prototype.constructor, prototype);
    if (id === undefined) {
      throw new Refusal(
        `an instance of ${String(prototype.constructor?.name || "an unnamed class")}, which ${
          platform
            ? "belongs to its process: pass ref() of it"
            : "the peer does not know: pass ref() of it, or export() the module of its class"
        }`,
      );
    }
    w.tagged(base === undefined ? tag.INSTANCE : tag.DERIVED, id);
    const keys = Object.keys(v);
    if (base === -1) return this.#sparse(w, v as unknown[], keys);
    if (base !== undefined) this.#builtin(w, v, base);
    this.#record(w, v, keys);
  }
}
