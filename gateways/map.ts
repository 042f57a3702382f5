/**
 * Spreading work over gateways.
 *
 * @module
 */

import { DisconnectError } from "../mod.ts";
import { ignore } from "../runtime/waiting.ts";
import { GatewayLostError } from "./errors.ts";
import type { Gateway } from "./gateway.ts";
import { gatewayOver } from "./gateway.ts";

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

type Checked = Required<Omit<MapInit, "onProgress" | "signal">> & MapInit;

function check(init: MapInit): Checked {
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

/** What listens for the end of a gateway: one reaction to a promise that may live for long, whatever is spread over it. */
const listeners = new WeakMap<Gateway, Set<() => void>>();

function listenersOf(gateway: Gateway): Set<() => void> {
  let set = listeners.get(gateway);
  if (!set) {
    const made = set = new Set();
    listeners.set(gateway, made);
    void gatewayOver(gateway).then(() => made.forEach((tell) => tell()));
  }
  return set;
}

/** One piece of work that is spread over gateways. */
class Spreading<T, R> {
  readonly #gateways: readonly Gateway[];
  readonly #source: Iterator<T> | AsyncIterator<T>;
  readonly #fn: (item: unknown) => unknown;
  readonly #init: Checked;
  /** How many items may be read ahead of what was taken. */
  readonly #ahead: number;

  /** Those that have nothing in hand, and whom to tell what they get. */
  readonly #idle = new Map<(job: Job<T> | undefined) => void, Gateway>();
  /** What gateways had in hand that were lost. */
  readonly #again: Job<T>[] = [];
  readonly #results = new Map<number, Awaited<R>>();
  readonly #lost = new Set<Gateway>();
  /** Ends the calls. */
  readonly #stop = new AbortController();
  #failure: { readonly error: unknown } | undefined;
  /** Why the last gateway was lost. */
  #loss: unknown;
  #reading = false;
  #exhausted = false;
  #read = 0;
  #given = 0;
  #done = 0;
  #begun = 0;
  /** Tells who waits for results that something has happened. */
  #news: () => void = () => {};

  constructor(gateways: readonly Gateway[], items: Iterable<T> | AsyncIterable<T>, fn: (item: T) => R, init: Checked) {
    this.#gateways = gateways;
    this.#source = Symbol.asyncIterator in Object(items)
      ? (items as AsyncIterable<T>)[Symbol.asyncIterator]()
      : (items as Iterable<T>)[Symbol.iterator]();
    this.#fn = fn as (item: unknown) => unknown;
    this.#init = init;
    this.#ahead = AHEAD * init.concurrency * gateways.length;
  }

  async *results(): AsyncGenerator<Awaited<R>, void, undefined> {
    const { signal, order, concurrency } = this.#init;
    const aborted = () => this.#fail(signal!.reason);
    signal?.addEventListener("abort", aborted);
    const over = new Map(this.#gateways.map((gateway) => [gateway, () => this.#lose(gateway)]));
    for (const [gateway, tell] of over) listenersOf(gateway).add(tell);
    try {
      for (const gateway of this.#gateways) {
        for (let i = 0; i < concurrency; i++) void this.#work(gateway).catch((error) => this.#fail(error));
      }
      for (;;) {
        signal?.throwIfAborted();
        const index = order === "input" ? this.#given : this.#results.keys().next().value;
        if (index !== undefined && this.#results.has(index)) {
          const value = this.#results.get(index)!;
          this.#results.delete(index);
          this.#given++;
          this.#hand();
          yield value;
          continue;
        }
        if (this.#failure) throw this.#failure.error;
        if (this.#exhausted && this.#given === this.#read) return;
        if (this.#left === 0) {
          this.#fail(new GatewayLostError("All gateways were lost before the work was done", { cause: this.#loss }));
          continue;
        }
        await new Promise<void>((resolve) => this.#news = resolve);
      }
    } finally {
      signal?.removeEventListener("abort", aborted);
      for (const [gateway, tell] of over) listenersOf(gateway).delete(tell);
      const failed = this.#failure !== undefined;
      this.#fail(new DOMException("The results are not wanted any more", "AbortError"));
      await this.#leave(failed);
    }
  }

  /** Says to the source that nothing more is wanted. It is not waited for where it is busy: it may be for ever. */
  async #leave(failed: boolean): Promise<void> {
    if (this.#exhausted) return;
    const leaving = (async () => void await this.#source.return?.())();
    if (this.#reading) leaving.catch(ignore);
    else await (failed ? leaving.catch(ignore) : leaving);
  }

  get #left(): number {
    return this.#gateways.length - this.#lost.size;
  }

  #fail(error: unknown): void {
    this.#failure ??= { error };
    this.#stop.abort(this.#failure.error);
    this.#hand();
    this.#news();
  }

  #lose(gateway: Gateway, why?: unknown): void {
    this.#lost.add(gateway);
    this.#loss = why ?? this.#loss;
    for (const [give, idle] of this.#idle) {
      if (idle !== gateway) continue;
      this.#idle.delete(give);
      give(undefined);
    }
    this.#news();
  }

  /** Gives those that have nothing in hand what there is; reads more for them if there is nothing. */
  #hand(): void {
    for (const give of this.#idle.keys()) {
      const job = this.#failure ? undefined : this.#again.shift();
      if (!job && !this.#failure) break;
      this.#idle.delete(give);
      give(job);
    }
    if (this.#idle.size > 0 && !this.#reading && !this.#exhausted && this.#read - this.#given < this.#ahead) {
      this.#reading = true;
      void this.#next().catch((error) => {
        // An iterator that throws is at its end.
        this.#exhausted = true;
        this.#fail(error);
      });
    }
  }

  /** Reads one item: an iterator may not like to be asked twice at a time. */
  async #next(): Promise<void> {
    try {
      const { done, value } = await this.#source.next();
      if (done) this.#exhausted = true;
      else this.#again.push({ index: this.#read++, item: value, tries: 0 });
    } finally {
      this.#reading = false;
    }
    if (this.#exhausted) this.#news();
    else this.#hand();
  }

  #isLost(gateway: Gateway): boolean {
    return this.#lost.has(gateway) || !gateway.isAlive || !gateway.connection.isConnected();
  }

  async #work(gateway: Gateway): Promise<void> {
    while (!this.#isLost(gateway) && !this.#failure) {
      const job = await new Promise<Job<T> | undefined>((resolve) => {
        this.#idle.set(resolve, gateway);
        this.#hand();
      });
      if (!job) return;
      if (this.#isLost(gateway)) {
        // It has not got it, so this was no try.
        this.#again.unshift(job);
        break;
      }
      this.#begun++;
      try {
        const call = gateway.connection.with({ signal: this.#stop.signal }).call(this.#fn, job.item);
        this.#results.set(job.index, await call as Awaited<R>);
      } catch (error) {
        if (!(error instanceof DisconnectError && this.#isLost(gateway))) throw error;
        if (job.tries++ >= this.#init.retries) {
          throw new GatewayLostError(
            job.tries > 1
              ? `Gateway "${gateway.id}" was lost, and had an item that others lost before it`
              : `Gateway "${gateway.id}" was lost, and had an item that may not be given to another one`,
            { cause: error },
          );
        }
        this.#again.push(job);
        this.#lose(gateway, error);
        break;
      }
      this.#done++;
      this.#init.onProgress?.({ done: this.#done, begun: this.#begun, gateways: this.#left });
      this.#news();
    }
    this.#lose(gateway);
    this.#hand();
  }
}

/** See {@linkcode Group.map}. */
export function mapOver<T, R>(
  gateways: readonly Gateway[],
  items: Iterable<T> | AsyncIterable<T>,
  fn: (item: T) => R,
  init: MapInit,
): AsyncGenerator<Awaited<R>, void, undefined> {
  return spread(gateways, items, fn, check(init));
}

async function* spread<T, R>(
  gateways: readonly Gateway[],
  items: Iterable<T> | AsyncIterable<T>,
  fn: (item: T) => R,
  init: Checked,
): AsyncGenerator<Awaited<R>, void, undefined> {
  init.signal?.throwIfAborted();
  if (gateways.length === 0) throw new Error("Cannot spread work over a group without gateways");
  yield* new Spreading(gateways, items, fn, init).results();
}
