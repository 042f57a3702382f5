/**
 * How functions in other processes end: the promise of that, and what its errors say.
 *
 * @module
 */

import { DisconnectError } from "../mod.ts";
import { ignore } from "../runtime/waiting.ts";
import type { Exit } from "./member.ts";

/** A promise that knows whether somebody waits for it, and is no unhandled rejection as long as nobody does. */
export class Outcome<T> extends Promise<T> {
  #waited: (() => void) | undefined;

  static override get [Symbol.species](): PromiseConstructor {
    return Promise;
  }

  /** Makes a promise of the same, and has `waited` called when somebody waits for it. */
  static of<T>(promise: Promise<T>, waited: () => void): Outcome<T> {
    const outcome = new Outcome<T>((resolve, reject) => void promise.then(resolve, reject));
    Promise.prototype.then.call(outcome, ignore, ignore);
    outcome.#waited = waited;
    return outcome;
  }

  override then<A = T, B = never>(
    resolved?: ((value: T) => A | PromiseLike<A>) | null,
    rejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    this.#waited?.();
    return super.then(resolved, rejected);
  }
}

/** A line that begins what is about another process. */
const BELOW = "\nBelow lines obtained from";
/** Where this part of across is; where it was booted, its stacks say so themselves. */
const HERE = import.meta.url.replace(/[^/]*$/, "");

/**
 * Says in an error's stack where the function was issued here, in place of the frames of this part of across.
 *
 * @param error What it failed with.
 * @param site Made where it was issued.
 */
export function withSite(error: unknown, site: Error): unknown {
  if (!(error instanceof Error) || typeof error.stack !== "string") return error;
  const at = error.stack.indexOf(BELOW);
  if (at < 0) return error;
  const frames = (site.stack ?? "").split("\n").filter((line) => /^\s+at |@/.test(line) && !line.includes(HERE));
  Object.defineProperty(error, "stack", {
    value: [`${error.name}: ${error.message}`, ...frames].join("\n") + error.stack.slice(at),
    configurable: true,
    writable: true,
  });
  return error;
}

/** The error for a process that ended before it was done. */
export function endedEarly(name: string, exit: Exit | undefined, cause: unknown): DisconnectError {
  const how = !exit
    ? "ended"
    : exit.signal !== null
    ? `was killed by ${exit.signal}`
    : exit.code === null
    ? "could not be started"
    : `exited with status ${exit.code}`;
  const error = new DisconnectError(`Process "${name}" ${how} before it was done`, { cause });
  return Object.assign(error, exit && { exitCode: exit.code, signal: exit.signal });
}
