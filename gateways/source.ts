/**
 * What `remoteExec` is given, made into something that can be shipped: a function as it is, source text as a function with `channel` bound, a module as
 * a function that imports it.
 *
 * @module
 */

import { provision } from "../session/provision.ts";
import type { Source } from "./far_end.ts";

/** Whether something that is to be run is a module. */
export function moduleUrl(source: unknown): string | undefined {
  if (source instanceof URL) return source.href;
  // A text of one word: source that begins so would be a label and a comment.
  return typeof source === "string" && /^(?:file|https?|data|npm|jsr|node):\S+$/.test(source) ? source : undefined;
}

/** Parses a function, without running anything. */
function compile(text: string): Source {
  return new Function(`return (${text}\n)`)() as Source;
}

/**
 * Makes a function of source text.
 *
 * @param text JavaScript or TypeScript, in which `await` works and `return` ends it.
 * @param names The names of the arguments, which it sees as variables.
 * @returns The function; a promise of it where types have to be stripped.
 * @throws {SyntaxError} If it is neither; also by rejection.
 */
export function sourceFunction(text: string, names: readonly string[]): Source | Promise<Source> {
  for (const name of names) {
    if (!/^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(name)) {
      throw new TypeError(`Cannot pass "${name}" to source text: it is no name of a variable`);
    }
  }
  const head = `async (channel, { ${names.join(", ")} }, __tell, __name__ = "__channelexec__") => `;
  const whole = `${head}{${text}\n}`;
  try {
    // A single expression may be a promise, with which the source ends.
    return compile(`${head}{await(${text}\n)}`);
  } catch {
    // Then it has statements.
  }
  try {
    return compile(whole);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return stripped(whole, error);
  }
}

async function stripped(whole: string, error: SyntaxError): Promise<Source> {
  let text: string | undefined;
  try {
    text = await provision().strip(`(${whole})`, "across:source");
  } catch {
    // No TypeScript either: what the JavaScript engine said is plainer.
  }
  if (text === undefined) throw error;
  return compile(text.trim().replace(/;$/, ""));
}

/**
 * Makes a function that runs a module: its default export if it has one.
 *
 * @param url The module, under the URL that it is to have this time.
 */
export function moduleFunction(url: string): Source {
  return compile(
    `async (channel, kwargs, tell) => {
      const { default: run } = await import(${JSON.stringify(url)});
      tell(typeof run === "function");
      if (typeof run === "function") await run(channel, kwargs);
    }`,
  );
}
