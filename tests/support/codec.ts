// An encoder and a decoder back to back, with a session of the simplest kind: classes by a list, functions by a table.

import { Decoder } from "../../protocol/decoder.ts";
import { type AnyConstructor, Encoder } from "../../protocol/encoder.ts";
import { OperationError } from "../../protocol/errors.ts";
import { Reader } from "../../protocol/reader.ts";
import { Writer } from "../../protocol/writer.ts";

/** What one message consists of. */
export interface Encoded {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly segments: ArrayBuffer[];
}

/** Something that the session looks after, besides functions. */
export class External {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
}

/** Both directions' machinery, which lasts for many messages as it does on a connection. */
export class Codec {
  /** Classes that the peer knows. */
  readonly classes: AnyConstructor[];
  /** What went by reference, in order. */
  readonly externals: object[] = [];
  /** How many of them were asked for while decoding. */
  received = 0;
  /** Errors that were announced while decoding. */
  readonly errors: Error[] = [];
  readonly encoder: Encoder = new Encoder({
    classId: (constructor) => {
      const id = this.classes.indexOf(constructor);
      return id < 0 ? undefined : id;
    },
    external: (writer, value) => {
      if (typeof value !== "function" && !(value instanceof External) && !(Symbol.asyncIterator in value)) return false;
      writer.varint(this.externals.push(value) - 1);
      return true;
    },
  });
  readonly decoder: Decoder = new Decoder({
    classById: (id) => {
      const constructor = this.classes[id];
      if (!constructor) throw new OperationError(`Cannot find class ${id}`);
      return constructor;
    },
    external: (reader) => {
      const value = this.externals[reader.varint()];
      this.received++;
      if (!value) throw new OperationError("Cannot find the reference");
      return value;
    },
    error: (error) => void this.errors.push(error),
  });
  readonly #writer = new Writer(16);
  readonly #reader = new Reader();

  constructor(...classes: AnyConstructor[]) {
    this.classes = classes;
  }

  /** One message of these values. */
  encode(...values: unknown[]): Encoded {
    this.#writer.position = 0;
    this.encoder.begin();
    values.forEach((value, index) => this.encoder.value(this.#writer, value, `args[${index}]`));
    return {
      bytes: this.#writer.bytes.slice(0, this.#writer.position),
      segments: this.encoder.segments.map((segment) => segment.slice().buffer as ArrayBuffer),
    };
  }

  /** The values of one message. */
  decodeAll({ bytes, segments }: Encoded): unknown[] {
    this.#reader.reset(bytes);
    this.decoder.begin(segments);
    const values: unknown[] = [];
    while (this.#reader.position < this.#reader.end) values.push(this.decoder.value(this.#reader));
    return values;
  }

  /** The first value of one message, of which nothing may be left over. */
  decode(encoded: Encoded): unknown {
    const values = this.decodeAll(encoded);
    if (values.length !== 1) throw new Error(`There are ${values.length} values`);
    return values[0];
  }

  /** What becomes of a value. */
  // deno-lint-ignore no-explicit-any
  trip(value: unknown): any {
    return this.decode(this.encode(value));
  }
}

/** What becomes of a value on a new connection. */
// deno-lint-ignore no-explicit-any
export function trip(value: unknown, ...classes: AnyConstructor[]): any {
  return new Codec(...classes).trip(value);
}

/** A message of these bytes and nothing else. */
export function message(...bytes: number[]): Encoded {
  return { bytes: Uint8Array.from(bytes), segments: [] };
}
