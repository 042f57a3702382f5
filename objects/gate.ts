/**
 * Where the operations on a served object come in, on the side where it lives: at once, or when its owner says so. A {@linkcode Gate} is the operator
 * of faces of the object; operations of others reach it through the connection, which passes on what is done to such a face. Who announces an object
 * is `served.ts`.
 *
 * @module
 */

import { ACTION } from "../protocol/messages.ts";
import { LONGEST_TIMER } from "../runtime/waiting.ts";
import { Call } from "../session/call.ts";
import { CallContext, currentCall, runInCall } from "../session/context.ts";
import type { Operator, Origin } from "../session/faces.ts";
import { faceOf, RemoteFace } from "../session/faces.ts";
import { nameOf, Referred } from "../session/marks.ts";
import type { Request } from "../session/perform.ts";
import { perform } from "../session/perform.ts";
import { notServed } from "./not_served.ts";
import { nextTurn } from "./turns.ts";

/** How often dependents of an operation get to go on within one `processRequests()`, in microtasks. */
const STEPS = 4;

/** How a served object answers. */
export interface GateSettings {
  /** Whether objects that calls return are given as proxies. */
  readonly eagerProxy: boolean;
}

/** An operation that is carried out here. Its result stays here for those that are built upon it. */
class LocalCall extends Call {
  /** The result, or the error. */
  outcome: { readonly value: unknown } | { readonly error: unknown } | undefined;

  constructor(reference: boolean) {
    super(0, reference, undefined);
    this.sent = true;
    this.held = true;
  }

  /** Settles it: dependents go on from `value`, who awaits it gets `answer`. */
  succeed(value: unknown, answer: unknown): void {
    if (this.outcome) return;
    this.outcome = { value };
    this.resolve(answer);
  }

  /** Settles it with an error. */
  refuse(error: unknown): void {
    if (this.outcome) return;
    this.outcome = { error };
    this.reject(error);
  }
}

/** A face of something that is here. */
export class GateFace extends RemoteFace {
  /** What it is the face of. */
  readonly value: unknown;

  constructor(gate: Gate, value: unknown) {
    super(gate, undefined);
    this.value = value;
  }

  override describe(): string {
    return `Remote <${nameOf(this.value)}>`;
  }
}

/** An operation on its way through the gate. */
interface Job {
  readonly call: LocalCall;
  readonly origin: GateFace | LocalCall;
  readonly path: readonly string[];
  readonly action: number;
  readonly args: readonly unknown[];
  /** The call that brought it, if one did. */
  readonly context: CallContext | undefined;
}

/** Carries out operations on one object and what they lead to. */
export class Gate implements Operator {
  readonly #settings: GateSettings;
  /** Whether operations wait for {@linkcode Gate.carryOut}. */
  readonly #manual: boolean;
  readonly #faces = new WeakMap<object, GateFace>();
  /** What is not settled. */
  readonly #open = new Set<Job>();
  /** What waits for the owner, in order. */
  readonly #queue: Job[] = [];
  /** What is done as soon as a call is settled. */
  readonly #followers = new Map<Call, () => void>();
  /** Wake those who wait for an operation. */
  readonly #waiting = new Set<() => void>();
  #over = false;
  /** The face of the object itself. */
  readonly face: GateFace;

  constructor(target: object, settings: GateSettings, manual: boolean) {
    this.#settings = settings;
    this.#manual = manual;
    this.face = this.faceFor(target);
  }

  get connection(): object {
    throw new TypeError(`Cannot tell the connection of ${this.face.describe()}, which is here`);
  }

  get caller(): this {
    return this;
  }

  /** Whether operations are taken. */
  get open(): boolean {
    return !this.#over;
  }

  /** A face of something that the object led to. */
  faceFor(value: unknown): GateFace {
    if (Object(value) !== value) return new GateFace(this, value);
    let face = this.#faces.get(value as object);
    if (!face) this.#faces.set(value as object, face = new GateFace(this, value));
    return face;
  }

  operate(origin: Origin, path: readonly string[], action: number, args: readonly unknown[], reference: boolean): Call {
    const call = new LocalCall(reference);
    if (this.#over) return call.fail(notServed(this.face.describe()));
    const job = { call, origin: origin as GateFace | LocalCall, path, action, args, context: currentCall() };
    this.#open.add(job);
    if (origin instanceof LocalCall && !origin.outcome) {
      const ready = () => this.#ready(job);
      origin.promise.then(ready, ready);
    } else {
      this.#ready(job);
    }
    return call;
  }

  /**
   * Runs a function on what a path leads to, in its turn.
   *
   * @param fn Gets it as its only argument.
   * @param reference Whether a proxy of what that returns is wanted.
   */
  run(origin: Origin, path: readonly string[], fn: (value: unknown) => unknown, reference: boolean): Call {
    const found = this.operate(origin, path, ACTION.GET, [], true);
    found.chain();
    if (!(found instanceof LocalCall) || found.failure) return found;
    const call = new LocalCall(reference);
    const fail = (error: unknown) => call.refuse(error);
    const succeed = (value: unknown) => call.succeed(value, reference ? this.faceFor(value).proxy : value);
    const run = () => {
      const outcome = found.outcome!;
      if ("error" in outcome) return fail(outcome.error);
      try {
        const result = fn(outcome.value);
        if (isThenable(result)) result.then(succeed, fail);
        else succeed(result);
      } catch (error) {
        fail(error);
      }
    };
    // Not a turn later: the owner may have gone on by then.
    if (found.outcome) run();
    else this.#followers.set(found, run);
    return call;
  }

  #ready(job: Job): void {
    if (!this.#manual || this.#over) return this.#run(job);
    this.#queue.push(job);
    for (const wake of this.#waiting) wake();
  }

  #run(job: Job): void {
    const { call, origin, args, context } = job;
    if (call.outcome) return void this.#open.delete(job); // it was given up
    const base = origin instanceof GateFace ? origin : origin.outcome!;
    if ("error" in base) return this.#fail(job, base.error);
    if (args.some((arg) => isUnsettled(arg))) {
      Promise.all(args).then(
        (args) => this.#perform(job, base.value, args, context),
        (error) => this.#fail(job, error),
      );
    } else this.#perform(job, base.value, args, context);
  }

  #perform(job: Job, base: unknown, args: readonly unknown[], context: CallContext | undefined): void {
    const { path, action } = job;
    const request: Request = {
      id: 0,
      flags: 0,
      path,
      action,
      args: args.map((arg) => this.own(arg)),
      context: context ?? new CallContext(this),
      entered: false,
      self: undefined,
      direct: false,
    };
    try {
      const result = context ? runInCall(context, () => perform(base, request)) : perform(base, request);
      if (isThenable(result)) {
        result.then((value) => this.#succeed(job, request, value), (error) => this.#fail(job, error));
      } else this.#succeed(job, request, result);
    } catch (error) {
      this.#fail(job, error);
    }
  }

  /** What an argument stands for: faces of what is here are that, where they come home. */
  own(arg: unknown): unknown {
    if (arg instanceof Referred) return this.faceFor(arg.value).proxy;
    const face = faceOf(arg);
    return face instanceof GateFace ? face.value : arg;
  }

  #succeed(job: Job, { self }: Request, result: unknown): void {
    const { call, origin, action } = job;
    this.#open.delete(job);
    const referred = result instanceof Referred;
    const value = referred ? result.value : result;
    const object = typeof value === "object" && value !== null;
    let answer = value;
    if (object && (value === self || value === this.face.value && action === ACTION.CALL)) {
      // For going on with the object, not for copying it.
      answer = (origin instanceof GateFace && origin.value === value ? origin : this.faceFor(value)).proxy;
    } else if (
      referred || call.reference ||
      this.#settings.eagerProxy && action === ACTION.CALL && (object || typeof value === "function")
    ) {
      answer = faceOf(value) ? value : this.faceFor(value).proxy;
    }
    call.succeed(value, answer);
    this.#settled(call);
  }

  #fail(job: Job, error: unknown): void {
    this.#open.delete(job);
    job.call.refuse(error);
    this.#settled(job.call);
  }

  #settled(call: LocalCall): void {
    const follower = this.#followers.get(call);
    this.#followers.delete(call);
    follower?.();
  }

  /**
   * Carries out what waits.
   *
   * @param limit At most so many operations.
   * @param timeout Milliseconds to wait for the first one.
   * @returns How many there were.
   */
  async carryOut(limit: number, timeout: number): Promise<number> {
    await nextTurn(); // or nothing could arrive in a loop that waits for nothing else
    const queue = this.#queue;
    if (queue.length === 0 && timeout > 0 && !this.#over) {
      let timer: ReturnType<typeof setTimeout> | undefined, wake: () => void;
      await new Promise<void>((resolve) => {
        this.#waiting.add(wake = resolve);
        if (timeout <= LONGEST_TIMER) timer = setTimeout(resolve, timeout);
      });
      this.#waiting.delete(wake!);
      clearTimeout(timer);
    }
    let done = 0;
    while (done < limit && queue.length > 0) {
      this.#run(queue.shift()!);
      done++;
      // What is built upon it belongs to this turn, too.
      for (let step = 0; step < STEPS && queue.length === 0; step++) await null;
    }
    return done;
  }

  /**
   * Takes no operation any more.
   *
   * @param fulfill Whether what is outstanding is still answered.
   */
  stop(fulfill: boolean): void {
    if (this.#over) return;
    this.#over = true;
    for (const wake of this.#waiting) wake();
    if (!fulfill) { for (const job of [...this.#open]) this.#fail(job, notServed(this.face.describe())); }
    for (const job of this.#queue.splice(0)) this.#run(job);
  }

  result(call: Call): Promise<unknown> {
    return call.promise;
  }

  async *iterate(origin: Origin, path: readonly string[]): AsyncGenerator<unknown> {
    const items = await this.operate(origin, path, ACTION.ITERATE, [], false).promise;
    yield* items as AsyncIterable<unknown>;
  }

  release(): void {}

  cancel(call: Call, reason: unknown): void {
    if (call instanceof LocalCall) call.refuse(reason);
  }
}

/** Whether an argument is a path or a result, which has to be waited for. */
function isUnsettled(arg: unknown): boolean {
  const face = faceOf(arg);
  return face !== undefined && !(face instanceof RemoteFace);
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (typeof value === "object" || typeof value === "function") && value !== null &&
    typeof (value as { then?: unknown }).then === "function";
}
