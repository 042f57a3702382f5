/**
 * A function that runs in a process of its own: {@linkcode Process}. How one is started is in `spawn.ts`, what it runs in in `process_options.ts`.
 *
 * @module
 */

import type { AnyFunction, Connection, Received, Remote, RemotePromise, Returned } from "../mod.ts";
import { DisconnectError, isProxy, keep, ship } from "../mod.ts";
import { deferred, ignore, within } from "../runtime/waiting.ts";
import type { ResultFace } from "../session/faces.ts";
import { faceOf } from "../session/faces.ts";
import { explainReference, sourceOf } from "../session/source.ts";
import { endedEarly, Outcome, withSite } from "./outcome.ts";
import type { Exit, Member } from "./member.ts";
import { startMember } from "./member.ts";
import type { ProcessOptions } from "./process_options.ts";
import type { WaitOptions } from "./waits.ts";
import { waitFor } from "./waits.ts";

/** What `result` of a function's process gives: what it returns, also where it is a generator. */
export type ResultOf<F extends AnyFunction> = Awaited<ReturnType<F>> extends
  Generator<unknown, infer R, never> | AsyncGenerator<unknown, infer R, never> ? Returned<R> : Returned<ReturnType<F>>;
/** What one iterates over in a function's process: what it yields, if it is a generator. */
export type YieldOf<F extends AnyFunction> = Awaited<ReturnType<F>> extends
  Generator<infer Y, unknown, never> | AsyncGenerator<infer Y, unknown, never> ? Received<Y> : never;

/** A run of a function over there. */
interface Job {
  /** Starts it. The call lasts as long as the function, which has its signal. */
  run(): Promise<unknown>;
  /** What it gives. */
  outcome(): Promise<unknown> | undefined;
}

/** Runs over there, from its source. */
const START = (
  fn: (...args: unknown[]) => unknown,
  args: readonly unknown[],
  ended: () => Promise<void>,
): Job => {
  let outcome: Promise<unknown> | undefined;
  const run = () => {
    // Not at once: it may never give us the chance to answer.
    outcome = new Promise((resolve) => setTimeout(resolve, 0)).then(() => fn(...args));
    const tell = () => void ended().catch(() => {});
    outcome.then(tell, tell);
    return outcome;
  };
  return { run, outcome: () => outcome };
};

/** Runs over there: when it is answered, everything before it has arrived. */
const NOTHING = (): void => {};

/** Milliseconds that a process has to take notice that it is to end, until it is told by a signal. */
const GRACE = 1_000;

/** Executed over there. */
const SERVED = `await import("@x/across/objects"); globalThis[Symbol.for("across.objects")].served()`;

/** Turns of the microtask queue after which it is known whether somebody waits for the result, so that it is asked for in the same message. */
const TURNS = 3;

type Steps = AsyncGenerator<unknown, unknown, unknown>;

/**
 * A function that runs in a process or worker of its own. What it throws is thrown here, once: by {@linkcode Process.result} or the iteration, if
 * somebody waits for these, else by {@linkcode Process.join} or the end of the block.
 */
export class Process<R = unknown, Y = never> implements AsyncDisposable {
  /** What it is called. */
  readonly name: string;
  readonly #member: Member;
  readonly #site: Error;
  readonly #result = deferred<R>();
  readonly #source = deferred<Steps | undefined>();
  readonly #ready = deferred<Remote<Job>>();
  readonly #over = deferred<void>();
  /** Gives the error, for who waits for something else of the process. */
  readonly #lost = deferred<() => Error>();
  /** Says more about an error, where the function travelled by its source. */
  readonly #explain: (error: unknown) => void;
  #asked = false;
  #isIssued = false;
  #iterated = false;
  #settled = false;
  /** What went wrong, if something did. */
  #failure: { readonly error: unknown } | undefined;
  /** What it is to fail with, as we ended it. */
  #reason: { readonly error: unknown } | undefined;
  /** The call that lasts as long as the function, once it is issued. */
  #call: ResultFace | undefined;
  /** Settles when it was asked to end, once that was done. */
  #terminated: Promise<void> | undefined;
  #told = false;
  #ended = false;
  #exit: Exit | undefined;

  /** Made by {@linkcode spawn}. */
  constructor(name: string, fn: AnyFunction, args: readonly unknown[], options: ProcessOptions, site: Error) {
    this.name = name;
    this.#site = site;
    this.#result.promise.catch(ignore);
    this.#source.promise.catch(ignore);
    this.#ready.promise.catch(ignore);
    const { signal, daemon = true, modules = [] } = options;
    signal?.throwIfAborted();
    this.#member = startMember(options);
    if (!daemon) void this.connection.wait();
    if (signal) {
      const abort = () => {
        if (this.#settled) return;
        this.#reason = { error: signal.reason };
        this.kill();
      };
      signal.addEventListener("abort", abort);
      this.#over.promise.then(() => signal.removeEventListener("abort", abort));
    }
    this.#member.exit?.then((exit) => {
      this.#exit = exit;
      this.#ended = true;
      this.#ask();
    });
    this.#explain = (error) => {
      if (error instanceof ReferenceError && modules.length === 0) explainReference(error, sourceOf(fn));
    };
    void this.#run(fn, args, modules);
  }

  async #run(
    fn: AnyFunction,
    args: readonly unknown[],
    modules: readonly (string | URL | ImportMeta)[],
  ): Promise<void> {
    const { connection } = this;
    try {
      if (modules.length > 0) await connection.export(modules);
      else for (let turn = 0; turn < TURNS; turn++) await null;
      this.#isIssued = true;
      // Where somebody waits already, a call is all that it takes: the process can do that when it has just begun to boot. It keeps the program alive.
      if (this.#asked) {
        const call = connection.call(fn as (...args: unknown[]) => unknown, ...args);
        this.#call = faceOf(call) as ResultFace;
        return void this.#take(() => call);
      }
      const job = connection.callRef(START, ship(fn) as never, args, () => this.#ask());
      this.#call = faceOf(job.run()) as ResultFace;
      this.#call.chain(); // without waiting for it, which would keep the program alive
      this.#ready.resolve(await job);
    } catch (error) {
      this.#isIssued = true;
      this.#ready.reject(error);
      if (this.#asked) void this.#fetch();
      this.#ask();
    }
  }

  /** Asks for the outcome: when it is there, or somebody waits for it, which keeps the program alive. */
  #ask(): void {
    if (this.#asked) return;
    this.#asked = true;
    if (this.#isIssued) void this.#fetch();
  }

  #fetch(): Promise<void> {
    return this.#take(async () => (await this.#ready.promise).outcome());
  }

  async #take(outcome: () => PromiseLike<unknown>): Promise<void> {
    try {
      const value = await outcome();
      if (!isSteps(value)) return this.#settle(value as R);
      this.#source.resolve(value);
    } catch (error) {
      this.#explain(error);
      await this.#fail(error);
    }
  }

  #settle(value: R): void {
    if (this.#settled || this.#terminated) return;
    this.#settled = true;
    this.#result.resolve(value);
    this.#source.resolve(undefined);
    void this.#finish();
  }

  /** Notes what went wrong, and gives the error that tells it. */
  async #fail(error: unknown): Promise<unknown> {
    if (this.#settled) return this.#failure ? this.#failure.error : error;
    if (error instanceof DisconnectError || this.#terminated) {
      // How the process ended says more. One that does not end with its connection is made to.
      if (this.#terminated) await this.#terminated;
      else if (!await within(GRACE, Promise.resolve(this.#member.exit))) this.connection.cancel();
      const exit = await this.#member.exit;
      error = this.#reason ? this.#reason.error : endedEarly(this.name, exit, error);
    } else withSite(error, this.#site);
    if (this.#settled) return error;
    this.#settled = true;
    this.#failure = { error };
    this.#result.reject(error);
    this.#source.reject(error);
    await this.#finish();
    return error;
  }

  async #finish(): Promise<void> {
    await this.connection.close().catch(ignore); // what that could tell, the exit status does
    const exit = await this.#member.exit;
    this.#exit = exit ?? { code: this.#failure ? 1 : 0, signal: null };
    this.#ended = true;
    const { error } = this.#failure ?? {};
    this.#lost.resolve(() => {
      this.#told = true;
      return error instanceof Error ? error : new Error(`Process "${this.name}" has ended`);
    });
    this.#over.resolve();
  }

  /** Its process id; undefined for a worker. */
  get pid(): number | undefined {
    return this.#member.pid;
  }

  /** Its exit status; null while it runs, and where a signal ended it. */
  get exitCode(): number | null {
    return this.#exit?.code ?? null;
  }

  /** Whether it runs. */
  get isAlive(): boolean {
    return !this.#ended;
  }

  /** The connection to it, for further calls. It ends with the function. */
  get connection(): Connection {
    return this.#member.connection;
  }

  /** What the function returns. Nothing is reported as unhandled as long as nobody waits for it. */
  get result(): Promise<R> {
    return Outcome.of(this.#result.promise, () => {
      this.#told = true;
      this.#ask();
      void this.#drain();
    });
  }

  /** Runs a generator to its end that nobody iterates over. */
  async #drain(): Promise<void> {
    const steps = await this.#source.promise.catch(() => undefined);
    if (!steps || this.#iterated) return;
    try {
      for await (const _ of this.#iterate(steps));
    } catch {
      // Who waits for the result, or the end, is told.
    }
  }

  async *#iterate(steps: Steps): AsyncGenerator<unknown> {
    this.#iterated = true;
    let done = false;
    try {
      for (;;) {
        const step = await steps.next();
        done = step.done === true;
        if (done) return this.#settle(step.value as R);
        yield step.value;
      }
    } catch (error) {
      done = true;
      throw await this.#fail(error);
    } finally {
      if (!done) {
        const last = await steps.return(undefined).catch(() => undefined);
        this.#settle(last?.value as R);
      }
    }
  }

  /** What the function yields, while it runs, if it is a generator. It runs ahead a little, and waits for its reader. Leaving the loop ends it. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Y, void, undefined> {
    this.#ask();
    let steps;
    try {
      steps = await this.#source.promise;
    } catch (error) {
      this.#told = true;
      throw error;
    }
    if (!steps) throw new TypeError(`Cannot iterate over process "${this.name}" as its function is no generator`);
    if (this.#iterated) throw new TypeError(`Cannot iterate over process "${this.name}" twice`);
    try {
      yield* this.#iterate(steps) as AsyncGenerator<Y>;
    } catch (error) {
      this.#told = true;
      throw error;
    }
  }

  /**
   * Waits until the function and its process have ended.
   *
   * @param options How long.
   * @throws {Error} What the function threw, or how the process ended before it was done, unless it was thrown before.
   * @throws {DOMException} A `TimeoutError`, if the time is over; it runs on.
   */
  async join(options: WaitOptions = {}): Promise<void> {
    this.#ask();
    void this.#drain();
    await waitFor(`Process "${this.name}" did not end`, options, (settle) => {
      this.#over.promise.then(() => settle());
      return ignore;
    });
    if (!this.#failure || this.#told) return;
    this.#told = true;
    throw this.#failure.error;
  }

  /**
   * Gives the function up, and asks the process to end: first the signal that `getCallSignal()` gives there is aborted, and what that sets off at once
   * is done, then comes `SIGTERM`. One that spins does not notice, and gets it after a second. A worker is ended instead.
   */
  terminate(): void {
    if (!this.isAlive || this.#terminated) return;
    const reason = new DOMException(`Process "${this.name}" was terminated`, "AbortError");
    this.#terminated = this.#giveUp(reason);
    void this.#fail(reason);
  }

  async #giveUp(reason: DOMException): Promise<void> {
    if (this.#call) {
      const { operator, call } = this.#call;
      operator.cancel(call, reason);
      await within(GRACE, this.connection.call(NOTHING).then(ignore, ignore));
    }
    this.#member.kill("SIGTERM");
  }

  /** Ends it at once, with `SIGKILL`. */
  kill(): void {
    if (this.isAlive) this.#member.kill("SIGKILL");
    this.#ask();
  }

  /**
   * A proxy of what the function serves of its own making: see {@linkcode Served}.
   *
   * @returns It, as soon as it listens; one can go on from it without waiting.
   */
  served<T extends object>(): RemotePromise<Remote<T>> {
    return keep(this.connection.execute(SERVED)) as unknown as RemotePromise<Remote<T>>;
  }

  /** Resolves when it has ended, with what gives the error for that to who waits for something else of it. */
  get lost(): Promise<() => Error> {
    return this.#lost.promise;
  }

  /** Joins it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.join();
  }
}

function isSteps(value: unknown): value is Steps {
  if (isProxy(value)) return false; // which seems to have everything
  const steps = Object(value) as Partial<Steps>;
  return typeof steps.next === "function" && typeof steps[Symbol.asyncIterator] === "function";
}
