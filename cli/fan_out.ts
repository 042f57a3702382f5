/**
 * Doing the same on all targets: connecting, with bounds on how many at once and how long, Ctrl-C, progress, and printing what came back. What is done
 * is up to the commands.
 *
 * @module
 */

import process from "node:process";
import { type CallScope, type Connection, OperationError } from "../mod.ts";
import type { Common } from "./options.ts";
import type { Target } from "./targets.ts";
import { alarm, forMachines, forPeople, heading, labelled, printError, printOut, progress } from "./terminal.ts";

/** What a command does on one target. */
export interface Visit {
  readonly target: Target;
  readonly connection: Connection;
  /** Its calls end when the user interrupts, or the time is over. */
  readonly scope: CallScope;
  /** Waits for something, but not beyond that. */
  until<T>(promise: Promise<T>): Promise<T>;
}

/** What came of it. */
interface Outcome {
  readonly target: Target;
  readonly ms: number;
  readonly value?: unknown;
  readonly error?: unknown;
}

/** The signals that interrupt, and the exit codes that tell of them. */
const SIGNALS = [["SIGINT", 130], ["SIGTERM", 143]] as const;

/** Aborted by the first signal that interrupts. The second one ends the process at once. */
export class Interruption implements Disposable {
  readonly #controller = new AbortController();
  readonly #listeners: [name: string, () => void][] = [];
  /** The exit code, once it happened. */
  code: number | undefined;

  /** @param kill What the second one does before. */
  constructor(kill: () => void) {
    for (const [name, code] of SIGNALS) {
      const listener = (): void => {
        if (this.code !== undefined) {
          kill();
          process.exit(code);
        }
        this.code = code;
        this.#controller.abort(new Error("Interrupted"));
      };
      process.on(name, listener);
      this.#listeners.push([name, listener]);
    }
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  [Symbol.dispose](): void {
    for (const [name, listener] of this.#listeners) process.off(name, listener);
  }
}

/** Waits for a promise, or rejects when the signal is aborted. */
function until<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort);
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}

/** One line, or the stack where it leads somewhere: an error that user code threw. */
function describe(error: unknown): string {
  if (!(error instanceof Error || error instanceof DOMException)) return `Thrown: ${forPeople(error)}`;
  const own = error instanceof OperationError || error.name === "TimeoutError" || error.message === "Interrupted";
  return own ? error.message : error.stack ?? String(error);
}

function print({ target, ms, value, error }: Outcome, json: boolean, alone: boolean): void {
  if (json) {
    const result = error === undefined ? { ok: true, ms, value } : { ok: false, ms, error };
    printOut(`${forMachines({ target: target.name, ...result })}\n`);
  } else if (error !== undefined) {
    printError(`${alarm(alone ? "error" : target.name)}: ${describe(error)}\n`);
  } else {
    const text = value === undefined ? "" : forPeople(value);
    if (alone) printOut(text === "" ? "" : `${text}\n`);
    else if (text.includes("\n")) printOut(`${heading(target.name)}:\n${text.replace(/^(?=.)/gm, "  ")}\n`);
    else printOut(`${heading(target.name)}: ${text}\n`);
  }
}

/**
 * Does something on all targets, and prints what came back in their order.
 *
 * @param targets The targets.
 * @param common What the user said about time, number and notation.
 * @param visit What is done on one of them; what it returns is printed.
 * @returns the exit code
 */
export async function fanOut(
  targets: readonly Target[],
  common: Common,
  visit: (it: Visit) => Promise<unknown>,
): Promise<number> {
  const open = new Set<Connection>();
  using interruption = new Interruption(() => {
    for (const connection of open) connection.cancel();
  });
  const waiting = new Set(targets);
  const show = (): void => {
    if (waiting.size === 0) return progress();
    const names = [...waiting].map((target) => target.name).join(", ");
    progress(`${targets.length - waiting.size}/${targets.length} done, waiting for ${names}`);
  };

  const visitOne = async (target: Target): Promise<Outcome> => {
    const start = performance.now();
    const outcome = (result: { value: unknown } | { error: unknown }): Outcome => ({
      target,
      ms: Math.round(performance.now() - start),
      ...result,
    });
    const late = new AbortController();
    const timer = common.timeout === undefined ? undefined : setTimeout(
      () => late.abort(new DOMException(`It took longer than ${common.timeout! / 1000} s`, "TimeoutError")),
      common.timeout,
    );
    const signal = AbortSignal.any([interruption.signal, late.signal]);
    let connection: Connection | undefined;
    try {
      signal.throwIfAborted();
      connection = target.connect(targets.length > 1 ? labelled(target.name) : undefined);
      open.add(connection);
      const scope = connection.with({ signal });
      const value = await visit({ target, connection, scope, until: (promise) => until(promise, signal) });
      await connection.close();
      return outcome({ value });
    } catch (error) {
      // Who is late gets no more time; who was interrupted is waited for. What went wrong is known, the goodbye has nothing to add to it.
      if (late.signal.aborted || !connection?.isConnected()) connection?.cancel();
      await connection?.close().catch(() => {});
      return outcome({ error: error ?? new Error(`It threw ${String(error)}`) });
    } finally {
      clearTimeout(timer);
      if (connection) open.delete(connection);
      waiting.delete(target);
      show();
    }
  };

  try {
    show();
    let failed = false;
    for (const pending of limited(targets, common.jobs, visitOne)) {
      const outcome = await pending;
      failed ||= outcome.error !== undefined;
      print(outcome, common.json, targets.length === 1);
    }
    return interruption.code ?? (failed ? 1 : 0);
  } finally {
    progress();
  }
}

/** Starts work on all items, so many at once. Returns a promise for each, which does not reject if that of `work` does not. */
function limited<T, R>(items: readonly T[], jobs: number, work: (item: T) => Promise<R>): Promise<R>[] {
  const queue: (() => Promise<void>)[] = [];
  const results = items.map((item) =>
    new Promise<R>((resolve, reject) => queue.push(() => work(item).then(resolve, reject)))
  );
  const worker = async (): Promise<void> => {
    for (let next = queue.shift(); next; next = queue.shift()) await next();
  };
  for (let i = Math.min(jobs, queue.length); i > 0; i--) worker();
  return results;
}
