/**
 * The built-in objects that travel by value, one entry each: how to know them, how to write and to read what they hold. Arrays, plain
 * objects, errors and binary values are not here.
 *
 * @module
 */

import { OperationError } from "./errors.ts";
import { Refusal } from "./refusals.ts";
import type { Reader } from "./reader.ts";
import type { Writer } from "./writer.ts";

/** What an entry needs of the encoder. */
export interface ValueWriter {
  /** Writes a value that belongs to an entry of the one being written. */
  child(writer: Writer, value: unknown, entry: number): void;
}

/** What an entry needs of the decoder. */
export interface ValueReader {
  /** Reads a value. */
  child(reader: Reader): unknown;
  /** Takes the object that is being read into the table of those that may be referred to; before what it contains, if that may refer to it. */
  keep<T>(object: T): T;
}

interface Builtin {
  /** The names of the classes. They are looked up when they are needed: in some runtimes the first touch of a global loads much. */
  readonly names: readonly string[];
  write(writer: Writer, value: never, out: ValueWriter): void;
  read(reader: Reader, input: ValueReader): object;
}

interface TextClass {
  readonly prototype: object;
  new (text: string): object;
  from(text: string): object;
}

/** What a name means in this runtime. */
export function builtinClass(name: string): TextClass | undefined {
  // deno-lint-ignore no-explicit-any
  return name.split(".").reduce<any>((scope, part) => scope?.[part], globalThis);
}

function attempt<T>(name: string, make: () => T): T {
  try {
    return make();
  } catch (cause) {
    throw new OperationError(`Cannot make the ${name} that was received`, { cause });
  }
}

/** A class whose objects can be made from one string. */
function textual(name: string): Builtin {
  return {
    names: [name],
    write: (writer, value: object) => writer.string(String(value)),
    read(reader, input) {
      const text = reader.string();
      const make = builtinClass(name)!;
      return input.keep(attempt(name, () => make.from ? make.from(text) : new make(text)));
    },
  };
}

/** Writes the number of entries first, though getters, which run meanwhile, may change it. */
function entries(
  writer: Writer,
  value: ReadonlyMap<unknown, unknown> | ReadonlySet<unknown>,
  each: (value: unknown, key: unknown, entry: number) => void,
  prototype: typeof value,
) {
  const { size } = value;
  let entry = 0;
  writer.varint(size);
  prototype.forEach.call(value, (item: unknown, key: unknown) => each(item, key, entry++));
  if (entry !== size) throw new Refusal("a Map or Set that changes while it is read");
}

const BUILTINS: readonly Builtin[] = [
  {
    names: ["Map"],
    write(writer, value: Map<unknown, unknown>, out) {
      entries(writer, value, (item, key, entry) => {
        out.child(writer, key, entry);
        out.child(writer, item, entry);
      }, Map.prototype);
    },
    read(reader, input) {
      const map = input.keep(new Map());
      for (let left = reader.varint(); left > 0; left--) map.set(input.child(reader), input.child(reader));
      return map;
    },
  },
  {
    names: ["Set"],
    write(writer, value: Set<unknown>, out) {
      entries(writer, value, (item, _key, entry) => out.child(writer, item, entry), Set.prototype);
    },
    read(reader, input) {
      const set = input.keep(new Set());
      for (let left = reader.varint(); left > 0; left--) set.add(input.child(reader));
      return set;
    },
  },
  {
    names: ["Date"],
    write: (writer, value: Date) => writer.f64(Date.prototype.getTime.call(value)),
    read: (reader, input) => input.keep(new Date(reader.f64())),
  },
  {
    names: ["RegExp"],
    write(writer, value: RegExp) {
      writer.string(value.source);
      writer.string(value.flags);
    },
    read(reader, input) {
      const source = reader.string();
      const flags = reader.string();
      return input.keep(attempt("RegExp", () => new RegExp(source, flags)));
    },
  },
  {
    names: ["Number", "String", "Boolean", "Symbol", "BigInt"],
    write: (writer, value: object, out) => out.child(writer, value.valueOf(), 0),
    read(reader, input) {
      const value = input.child(reader);
      return input.keep(attempt("boxed primitive", () => {
        const boxed = Object(value);
        if ((value ?? boxed) === boxed) throw new TypeError("It is not primitive");
        return boxed;
      }));
    },
  },
  {
    names: ["Headers"],
    write(writer, value: Headers) {
      const pairs = [...value];
      writer.varint(pairs.length);
      for (const [name, text] of pairs) {
        writer.string(name);
        writer.string(text);
      }
    },
    read(reader, input) {
      const pairs: [string, string][] = [];
      for (let left = reader.varint(); left > 0; left--) pairs.push([reader.string(), reader.string()]);
      return input.keep(attempt("Headers", () => new Headers(pairs)));
    },
  },
  textual("URL"),
  ..."Instant PlainDate PlainTime PlainDateTime PlainYearMonth PlainMonthDay ZonedDateTime Duration".split(" ").map((
    name,
  ) => textual(`Temporal.${name}`)),
];

const numbers = new Map<string, number>();
BUILTINS.forEach(({ names }, number) => names.forEach((name) => numbers.set(name, number)));

/** The number of the entry whose class has this prototype. */
export function builtinNumber(prototype: object): number | undefined {
  const name = (prototype as Record<symbol, string>)[Symbol.toStringTag] ?? prototype.constructor?.name;
  return builtinClass(String(name))?.prototype === prototype ? numbers.get(name) : undefined;
}

/** Writes what the object holds. */
export function writeBuiltin(number: number, writer: Writer, value: object, out: ValueWriter): void {
  BUILTINS[number]!.write(writer, value as never, out);
}

/** Reads an object; `undefined` if there is no entry of that number. */
export function readBuiltin(number: number, reader: Reader, input: ValueReader): object | undefined {
  return BUILTINS[number]?.read(reader, input);
}
