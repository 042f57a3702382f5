/**
 * Source that the peer sends to be executed: like an entry in a console, its value is that of its last expression, `await` works in it, and nothing
 * of it remains, except what it does to globals that exist.
 *
 * @module
 */

import { IMPORTER } from "../modules/source.ts";

/** Statements that are tried as boundaries before the last expression. */
const BOUNDARY_LIMIT = 5_000;

/** What may be an assignment to a name. */
const ASSIGNMENT = /([\p{ID_Start}$_][\p{ID_Continue}$]*)\s*(?:[-+*/%&|^?]{0,2}=(?!=|>)|\+\+|--)/gu;

const AsyncFunction = (async () => {}).constructor as FunctionConstructor;

/** Serves dynamic imports. */
export type ScriptImporter = (specifier: unknown, options: unknown) => Promise<object>;

/** A piece of source with what it sees. */
export class Script {
  readonly #source: string;
  readonly #importer: ScriptImporter;
  /** Names and values. */
  readonly variables: Record<string, unknown>;

  constructor(source: string, variables: Record<string, unknown>, importer: ScriptImporter) {
    this.#source = source;
    this.variables = variables;
    this.#importer = importer;
  }

  /** Executes it. Gives its value, or a promise of it. */
  run(): unknown {
    const source = this.#source;
    const self = Object.hasOwn(this.variables, "this") ? this.variables["this"] : undefined;
    const split = /\bawait\b/.test(source) ? splitLast(source) : undefined;
    if (split) {
      const body = `with(arguments[0])return(async()=>{${split[0]}\nreturn(${split[1]}\n)})()`;
      return Function(body).call(self, this.#scope(0));
    }
    // A direct eval, so that it sees the scope, and is a function's own, so that its declarations stay there.
    return Function("with(arguments[0])return eval(arguments[1])").call(self, this.#scope(2), source);
  }

  /**
   * The scope that the source runs in: the variables, whatever they are called, and names that the source assigns without declaring them, which
   * would otherwise become globals and remain.
   *
   * @param own How many names are looked up by our own code before the source's.
   */
  #scope(own: number): object {
    const scope: Record<string, unknown> = Object.assign(Object.create(null), this.variables);
    const assigned = new Set<string | symbol>();
    for (const [, name] of this.#source.matchAll(ASSIGNMENT)) if (!(name! in globalThis)) assigned.add(name!);
    return new Proxy(scope, {
      has: (_scope, key) => {
        if (own > 0) return own--, false;
        return key in scope || key === "arguments" || key === IMPORTER || assigned.has(key);
      },
      get: (_scope, key) => {
        if (key in scope) return scope[key as string];
        if (key === IMPORTER) return this.#importer;
        if (typeof key === "symbol" || key === "arguments") return undefined;
        throw new ReferenceError(`${key} is not defined`);
      },
    });
  }
}

function parses(source: string): boolean {
  try {
    AsyncFunction(source);
    return true;
  } catch {
    return false;
  }
}

/**
 * Splits source into statements and a last expression, letting the engine be the parser: the earliest boundary counts at which both parts are
 * complete, as an expression that starts there cannot be the continuation of what stands before. Gives `undefined` for source that does not
 * parse with `await` in it, which may still be a plain script that uses the word for something else.
 */
function splitLast(source: string): [statements: string, expression: string] | undefined {
  const trimmed = source.replace(/[;\s]+$/, "").trimStart();
  const bare = trimmed.replace(/(?:[;\s]|\/\/[^\n]*|\/\*[^]*?\*\/)+$/, ""); // comments at the end, or what looks like some
  return splitTrimmed(source, trimmed) ?? (bare !== trimmed ? splitTrimmed(source, bare) : undefined) ??
    (parses(source) ? [source, "undefined"] : undefined);
}

function splitTrimmed(source: string, trimmed: string): [statements: string, expression: string] | undefined {
  if (parses(`return(${trimmed}\n)`)) return ["", trimmed];
  if (!parses(source)) return;
  let tries = 0;
  for (const { 0: separator, index } of trimmed.matchAll(/[;\n}]+\s*/g)) {
    if (++tries > BOUNDARY_LIMIT) break;
    const at = index + separator.length;
    const expression = trimmed.slice(at);
    if (!expression) break;
    // After a mere line break, these go on with the statement before.
    if (!/[;}]/.test(separator) && /^(?:[([`+\-*/,.?<>=&|^%]|in\b|instanceof\b)/.test(expression)) continue;
    if (!parses(`return(${expression}\n)`)) continue;
    const statements = trimmed.slice(0, at);
    if (parses(statements)) return [statements, expression];
  }
  return;
}
