/**
 * A copy of a record that can travel: what cannot becomes text, and nothing becomes large. Records are copied when they are logged, so what happens to
 * the values afterwards does not show.
 *
 * @module
 */

import { isProxy } from "../mod.ts";
import type { LogRecord } from "./record.ts";

/** Values of one record, nested ones included. */
const VALUES = 1_000;
/** Characters (or bytes) of all its texts. */
const CHARACTERS = 64 * 1024;
/** How deep values are looked into. */
const DEPTH = 8;

/** A record as it crosses. */
export interface PortableRecord extends LogRecord {
  /** From which ends of connections it was sent, this one included. */
  readonly via: readonly string[];
}

/** Copies the values of one record, and counts. */
class Copier {
  #values = VALUES;
  #characters = CHARACTERS;
  readonly #known = new Map<object, unknown>();

  text(text: string): string {
    const room = Math.max(this.#characters, 0);
    this.#characters -= text.length;
    return text.length <= room ? text : `${text.slice(0, room)}… (${text.length} characters)`;
  }

  value(value: unknown, depth: number): unknown {
    if (typeof value === "string") return this.text(value);
    if (typeof value === "symbol" || typeof value === "bigint") return this.text(String(value));
    if (typeof value === "function") return this.text(isProxy(value) ? String(value) : `[Function ${value.name}]`);
    if (typeof value !== "object" || value === null) return value;
    const known = this.#known.get(value);
    if (known !== undefined) return known;
    if (this.#values-- <= 0 || depth > DEPTH) return "…";
    return this.#object(value, depth + 1);
  }

  /** The fields of an object of whatever class. One that cannot be read is no reason to lose the others. */
  fields(from: object): Record<string, unknown> {
    const copy: Record<string, unknown> = {};
    try {
      this.#fields(from, Object.keys(from), copy, 1);
    } catch {
      // It does not even tell its keys.
    }
    return copy;
  }

  #object(value: object, depth: number): unknown {
    if (value instanceof Error) return this.#error(value, depth);
    if (Array.isArray(value)) {
      const copy: unknown[] = [];
      this.#known.set(value, copy);
      for (let i = 0; i < value.length && this.#values > 0; i++) copy.push(this.#read(value, i, depth));
      return copy;
    }
    const prototype = Object.getPrototypeOf(value);
    if (prototype === Object.prototype || prototype === null) {
      const copy: Record<string, unknown> = {};
      this.#known.set(value, copy);
      this.#fields(value, Object.keys(value), copy, depth);
      return copy;
    }
    if (value instanceof Date || value instanceof URL || value instanceof RegExp) return value;
    if (value instanceof Map || value instanceof Set) {
      const copy: unknown[] = [];
      for (const item of value) {
        if (this.#values <= 0) break;
        copy.push(this.value(item, depth));
      }
      return value instanceof Map ? new Map(copy as [unknown, unknown][]) : new Set(copy);
    }
    if (ArrayBuffer.isView(value)) return `[${value.constructor.name} of ${value.byteLength} bytes]`;
    return this.#text(value);
  }

  #fields(from: object, keys: readonly string[], to: object, depth: number): void {
    for (const key of keys) {
      if (this.#values <= 0) return;
      Object.defineProperty(to, this.text(key), {
        value: this.#read(from, key, depth),
        writable: true,
        enumerable: true,
        configurable: true,
      });
    }
  }

  #read(from: object, key: string | number, depth: number): unknown {
    try {
      return this.value((from as Record<string | number, unknown>)[key], depth);
    } catch {
      return "[Getter that throws]";
    }
  }

  #error(error: Error, depth: number): Error {
    const { name, message, stack } = error;
    const Class = (globalThis as unknown as Record<string, ErrorConstructor | undefined>)[name];
    const isBuiltin = typeof Class === "function" && Class !== Error &&
      Object.getPrototypeOf(error) === Class.prototype && Class.prototype instanceof Error &&
      name !== "AggregateError" && name !== "DOMException" && name !== "SuppressedError";
    const copy = new (isBuiltin ? Class : Error)(this.text(String(message)));
    this.#known.set(error, copy);
    const hidden: [string, unknown][] = [["stack", this.text(String(stack))]];
    if (!isBuiltin && name !== "Error") hidden.push(["name", this.text(String(name))]);
    for (const key of ["cause", "errors"]) {
      if (Object.hasOwn(error, key)) hidden.push([key, this.#read(error, key, depth)]);
    }
    for (const [key, value] of hidden) {
      Object.defineProperty(copy, key, { value, writable: true, configurable: true });
    }
    const own = Object.keys(error).filter((key) => key !== "cause" && key !== "errors" && key !== "stack");
    this.#fields(error, own, copy, depth);
    return copy;
  }

  /** What an object of a class of its own looks like. */
  #text(value: object): string {
    const name = Object.prototype.toString.call(value).slice(8, -1);
    const given = value.constructor?.name;
    const own = typeof given === "string" && given ? given : name;
    if (name !== "Object") return this.text(`[${own}]`);
    const fields = Object.entries(Object.getOwnPropertyDescriptors(value))
      .filter(([, { value }]) => Object(value) !== value && typeof value !== "symbol")
      .map(([key, { value }]) => `${key}: ${typeof value === "string" ? JSON.stringify(value) : value}`);
    return this.text(`${own} {${fields.length ? ` ${fields.join(", ")} ` : ""}}`);
  }
}

/** Copies a record, with its way so far. */
export function portable(record: LogRecord, via: readonly string[]): PortableRecord {
  const { category, level, rawMessage, timestamp } = record;
  const copier = new Copier();
  return {
    category: [...category].map((part) => copier.text(String(part))),
    level,
    message: [...record.message].map((part) => copier.value(part, 0)),
    rawMessage: (typeof rawMessage === "string" ? copier.text(rawMessage) : copier.value([...rawMessage], 0)) as string,
    timestamp,
    properties: copier.fields(record.properties),
    via,
  };
}
