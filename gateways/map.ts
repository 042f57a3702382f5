/**
 * Spreading work over gateways.
 *
 * @module
 */

import { DisconnectError } from "../mod.ts";
import { GatewayLostError } from "./errors.ts";
import type { Gateway } from "./gateway.ts";

/** What a result of {@linkcode Group.map} has done to the whole. */
export interface MapProgress {
  /** Items that are done. */
  readonly done: number;
  /** Items that were begun, also by a gateway that was lost. */
  readonly begun: number;
  /** Gateways that are left. */
  readonly gateways: number;
}

/** How {@linkcode Group.map} works. */
export interface MapInit {
  /** How many items a gateway has in hand at a time; 1 by default. */
  readonly concurrency?: number;
  /** `"input"`: results come in the order of the items, the default; `"completion"`: as they are there. */
  readonly order?: "input" | "completion";
  /** How often an item may be given to a further gateway when one is lost that had it; 1 by default. */
  readonly retries?: number;
  /** Called after each item. */
  readonly onProgress?: (progress: MapProgress) => void;
  /** Ends it all when it is aborted. */
  readonly signal?: AbortSignal;
}

const NAMES = ["concurrency", "order", "retries", "onProgress", "signal"];
/** How many results in the order of the input may wait for an earlier one, for each item in hand. */
const AHEAD = 8;

interface Job<T> {
  readonly index: number;
  readonly item: T;
  tries: number;
}

function check(init: MapInit): Required<Omit<MapInit, "onProgress" | "signal">> & MapInit {
  for (const name of Object.keys(init)) {
    if (!NAMES.includes(name)) throw new TypeError(`Cannot use option "${name}": there are ${NAMES.join(", ")}`);
  }
  const { concurrency = 1, order = "input", retries = 1 } = init;
  if (!(Number.isInteger(concurrency) && concurrency >= 1)) {
    throw new RangeError(`Cannot use ${String(concurrency)} as option concurrency: it takes whole numbers from 1 on`);
  }
  if (!(retries >= 0)) {
    throw new RangeError(`Cannot use ${String(retries)} as option retries: it takes numbers from 0 on`);
  }
  if (order !== "input" && order !== "completion") {
    throw new RangeError(`Cannot use "${String(order)}" as option order: there are input, completion`);
  }
  return { ...init, concurrency, order, retries };
}

/** See {@linkcode Group.map}. */
export async function* mapOver<T, R>(
  gateways: readonly Gateway[],
  items: Iterable<T> | AsyncIterable<T>,
  fn: (item: T) => R,
  init: MapInit,
): AsyncGenerator<Awaited<R>, void, undefined> {
  const { concurrency, order, retries, onProgress, signal } = check(init);
  signal?.throwIfAborted();
  const source = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]();
  const stop = new AbortController();
  const aborted = () => stop.abort(signal!.reason);
  signal?.addEventListener("abort", aborted);

  const again: Job<T>[] = [];
  const results = new Map<number, Awaited<R>>();
  let reading: Promise<unknown> = Promise.resolve();
  let read = 0, exhausted = false, given = 0, done = 0, begun = 0, left = gateways.length, active = 0;
  let failure: { readonly error: unknown } | undefined;
  let news = () => {};
  const hungry: (() => void)[] = [];
  const limit = AHEAD * concurrency * Math.max(1, gateways.length);

  const fail = (error: unknown) => {
    failure ??= { error };
    stop.abort(error);
    news();
  };
  /** The next item; one after the other, as an iterator may not like to be asked twice at a time. */
  const take = (): Promise<Job<T> | undefined> => {
    const next = reading.then(async () => {
      for (;;) {
        const job = again.shift();
        if (job || failure) return job;
        if (exhausted && active === 0) return;
        if (exhausted || read - given >= limit) {
          // What another one has in hand may come back, and results be taken.
          await new Promise<void>((resolve) => hungry.push(resolve));
          continue;
        }
        const { done, value } = await source.next();
        if (done) exhausted = true;
        else {
          active++;
          return { index: read++, item: value, tries: 0 };
        }
      }
    });
    reading = next.catch(() => {});
    return next;
  };
  const wake = () => {
    for (const resolve of hungry.splice(0)) resolve();
    news();
  };
  const work = async (gateway: Gateway) => {
    for (;;) {
      const job = await take();
      if (!job || failure) return;
      begun++;
      try {
        const call = gateway.connection.with({ signal: stop.signal }).call(fn as (item: unknown) => unknown, job.item);
        results.set(job.index, await call as Awaited<R>);
        active--;
        done++;
        onProgress?.({ done, begun, gateways: left });
        wake();
      } catch (error) {
        if (!(error instanceof DisconnectError) || gateway.isAlive && gateway.connection.isConnected()) throw error;
        if (job.tries++ >= retries) {
          throw new GatewayLostError(`Gateway "${gateway.id}" was lost, and had an item that others lost before it`, {
            cause: error,
          });
        }
        again.push(job);
        wake();
        return;
      }
    }
  };
  const workers = Promise.all(gateways.map(async (gateway) => {
    await Promise.all(Array.from({ length: concurrency }, () => work(gateway).catch(fail)));
    left--;
    wake();
  }));
  stop.signal.addEventListener("abort", () => fail(stop.signal.reason));
  try {
    for (;;) {
      const index = order === "input" ? given : results.keys().next().value;
      if (index !== undefined && results.has(index)) {
        const value = results.get(index)!;
        results.delete(index);
        given++;
        for (const resolve of hungry.splice(0)) resolve();
        yield value;
        continue;
      }
      if (failure) throw failure.error;
      if (exhausted && active === 0) return;
      if (left === 0) throw new GatewayLostError("All gateways were lost before the work was done");
      await new Promise<void>((resolve) => news = resolve);
    }
  } finally {
    signal?.removeEventListener("abort", aborted);
    failure ??= { error: new DOMException("The results are not wanted any more", "AbortError") };
    stop.abort(failure.error);
    wake();
    await source.return?.();
    await workers;
  }
}
