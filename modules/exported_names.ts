/**
 * Names of functions and classes that exported modules export: `file:///a.ts#Class.method`. Names of what every runtime has are in `public_names.ts`.
 *
 * @module
 */

import { OperationError } from "../protocol/errors.ts";
import { originalText } from "./imports.ts";
import { lex } from "./lexer.ts";

/** Objects within exported objects are looked into this deep. */
const DEPTH = 2;
/** Properties that are looked at in one module. */
const MOST = 10_000;

/** The functions of exported modules by identity. */
export class ExportedNames {
  readonly #names = new WeakMap<object, string>();
  /** Modules that are known by their text only. */
  readonly #texts = new Map<string, { readonly exports: ReadonlyMap<string, string>; readonly words: Words }>();

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
    this.#texts.set(id, { exports: exportsOf(source), words: wordsOf(source) });
  }

  /** The name under which the peer finds a function or class, if there is one. */
  nameOf(fn: object): string | undefined {
    const known = this.#names.get(fn);
    if (known || !this.#texts.size || typeof fn !== "function") return known;
    for (const [id, { exports, words }] of this.#texts) {
      const exported = exports.get(fn.name), at = words.declared.get(fn.name);
      if (exported === undefined || at === undefined) continue;
      if (!words.text.startsWith(wordsOf(Function.prototype.toString.call(fn)).text, at)) continue;
      const name = `${id}#${exported}`;
      this.#names.set(fn, name);
      return name;
    }
    return undefined;
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

/**
 * The words, numbers, strings and operators of a text. What a runtime adds and drops when it prints TypeScript without its types (space, comments, brackets,
 * semicolons, commas) is left out, so that a function's own text is part of its module's.
 */
interface Words {
  readonly text: string;
  /** Where in it each function, class or variable of the top level begins: a variable with its value. */
  readonly declared: ReadonlyMap<string, number>;
}

function wordsOf(source: string): Words {
  const declared = new Map<string, number>();
  const declare = (name: string, at: number) => declared.has(name) || declared.set(name, at);
  let text = "", before = "", depth = 0, last = 0, begin = -1;
  lex(originalText(source), (token, _start, previous) => {
    if (depth === 0) {
      if (previous === "=" || previous === "default") declare(previous === "=" ? before : previous, text.length);
      if (/^(?:function|class)$/.test(token)) begin = previous === "async" ? last : text.length;
      else if (begin >= 0 && token !== "*") {
        if (token !== "(") declare(token, begin);
        begin = -1;
      }
    }
    if (/^[([{]$|\$\{$/.test(token) && token[0] !== "}") depth++;
    else if (/^[)\]}]/.test(token) && !token.endsWith("${")) depth--;
    before = previous;
    if (/^[(){};,]$/.test(token)) return;
    last = text.length;
    text += `${token}\n`;
  });
  return { text, declared };
}

/** The functions, classes and variables that a text exports: name in the module, and name outside. */
function exportsOf(source: string): Map<string, string> {
  const found = new Map<string, string>();
  const names =
    /\bexport\s+(default)\b(?:\s+(?:async\s+)?(?:function\b\s*\*?|class)\s+([\w$]+))?|\bexport\s+(?:async\s+)?(?:function\b\s*\*?|class|const|let|var)\s+([\w$]+)|\bexport\s*\{([^}]*)\}(?!\s*from)/g;
  for (const [, byDefault, called, name, list] of source.matchAll(names)) {
    if (name) found.set(name, name);
    if (called) found.set(called, "default");
    if (byDefault) found.set("default", "default");
    for (const [, own, other] of (list ?? "").matchAll(/([\w$]+)(?:\s+as\s+([\w$]+))?/g)) {
      found.set(own!, other ?? own!);
    }
  }
  return found;
}
