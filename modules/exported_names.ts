/**
 * Names of functions and classes that exported modules export: `file:///a.ts#Class.method`. Names of what every runtime has are in `public_names.ts`.
 *
 * @module
 */

import { OperationError } from "../protocol/errors.ts";

/** Objects within exported objects are looked into this deep. */
const DEPTH = 2;
/** Properties that are looked at in one module. */
const MOST = 10_000;

/** What the name of a class in an entry point of across begins with; the class says it in its static `acrossName`. */
const OWN = /^@x\/across\//;

/** Such classes that were named to peers, which may name them, too. */
const own = new Map<string, object>();

/** The name of a class in an entry point of across. */
export function ownName(fn: object): string | undefined {
  const { acrossName } = fn as { acrossName?: unknown };
  if (typeof acrossName !== "string" || !OWN.test(acrossName) || !Object.hasOwn(fn, "acrossName")) return;
  own.set(acrossName, fn);
  return acrossName;
}

/** What was called so by {@linkcode ownName}. */
export function ownClass(name: string): object | undefined {
  return own.get(name);
}

/** Tells which export of a module a function is. */
export type Matcher = (fn: { readonly name: string }) => string | undefined;

/** What `text_names.ts` fills in. */
export const matching: { byText?: (source: string) => Matcher } = {};

/** The functions of exported modules by identity. */
export class ExportedNames {
  readonly #names = new WeakMap<object, string>();
  /** Modules that are known by their text only. */
  readonly #texts = new Map<string, Matcher>();

  /** Learns the exports of a module that is loaded here. */
  add(id: string, namespace: object): void {
    let left = MOST;
    const look = (holder: object, path: string, depth: number) => {
      for (const [key, { value }] of Object.entries(Object.getOwnPropertyDescriptors(holder))) {
        // A dot in a key would be taken for a step.
        if (!left-- || !value || /[.#]|^(?:prototype|constructor|__proto__)$/.test(key)) continue;
        const name = path + key;
        const callable = typeof value === "function";
        if (callable && !this.#names.has(value)) this.#names.set(value, `${id}#${name}`);
        if (depth && (callable || isPlain(value))) look(value, `${name}.`, depth - 1);
      }
    };
    // The descriptors of a namespace throw where an export has no value yet.
    const values: [string, unknown][] = [];
    for (const key of Object.keys(namespace)) {
      try {
        values.push([key, (namespace as Record<string, unknown>)[key]]);
      } catch {
        // It is in its dead zone: a module in the middle of being loaded.
      }
    }
    look(Object.fromEntries(values), "", DEPTH);
  }

  /** Learns exports of a module that cannot be imported here (yet), given by the names under which it exports them. */
  bind(id: string, bindings: object): void {
    this.add(id, bindings);
  }

  /** Learns the text (types stripped) of a module that cannot be imported here: its functions are recognised by name and text. */
  addText(id: string, source: string): void {
    if (matching.byText) this.#texts.set(id, matching.byText(source));
  }

  /** The name under which the peer finds a function or class, if there is one. */
  nameOf(fn: object): string | undefined {
    let name = this.#names.get(fn);
    if (name || typeof fn !== "function") return name;
    for (const [id, match] of this.#texts) {
      const exported = match(fn);
      if (exported) this.#names.set(fn, name = `${id}#${exported}`);
    }
    return name;
  }
}

/** Splits `file:///a.ts#Class.method` into module and path. */
export function splitName(name: string): [id: string, path: string] {
  const at = name.lastIndexOf("#");
  return [name.slice(0, at < 0 ? name.length : at), at < 0 ? "" : name.slice(at + 1)];
}

/**
 * Finds what a path names, by own properties only.
 *
 * @param holder Where the path begins: a namespace.
 * @param path Names with dots between them.
 * @param where How the holder is called in the error.
 * @throws {OperationError} when there is no such thing
 */
export function resolveExport(holder: object, path: string, where: string): unknown {
  let value: unknown = holder;
  for (const key of path.split(".")) {
    const inside = value !== null && (typeof value === "object" || typeof value === "function");
    if (!inside || !Object.hasOwn(value as object, key) || /^(?:prototype|constructor|__proto__)$/.test(key)) {
      throw new OperationError(`Cannot find "${path}" in ${where}`);
    }
    value = (value as Record<string, unknown>)[key];
  }
  return value;
}

function isPlain(value: unknown): value is object {
  if (typeof value !== "object" || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
