/**
 * What carries out the tasks of a pool in its processes and workers, and what both sides know of it. What this side does about it is in `seat.ts`.
 *
 * @module
 */

/** What becomes of a task that was sent to a worker, in memory that both sides see: it waits there, or was begun. Who swaps the first for another has it. */
export const TASK = { waits: 1, begun: 2, takenBack: 3 } as const;

/** What {@linkcode RUNNER} makes. */
export type Runner = (...args: unknown[]) => Promise<unknown>;

/**
 * Runs over there, from its source, so it uses nothing from around it. Makes what runs functions, so many at a time. Its arguments are those of the
 * function, the function, or null for what only waits for an earlier task of that slot, whether that is a class, and the slot of the task.
 *
 * A task begins when the answer of the one before it has left. So when the process dies of a task, it is this one that was not answered.
 */
export const RUNNER = (concurrency: number): (...args: unknown[]) => unknown => {
  const { waits, begun } = { waits: 1, begun: 2 };
  /** Turns of the microtask queue after which an answer has left. */
  const turns = 8;
  const memory = (globalThis as { [key: symbol]: unknown })[Symbol.for("across.memory")] as
    | SharedArrayBuffer
    | undefined;
  const states = memory && new Int32Array(memory);
  const queue: (() => void)[] = [];
  const open: unknown[] = [];
  let free = concurrency;
  const done = async () => {
    for (let turn = 0; turn < turns; turn++) await null;
    const next = queue.shift();
    if (next) next();
    else free++;
  };
  const start = (fn: (...args: unknown[]) => unknown, args: unknown[], isClass: unknown, slot: number) => {
    let runs = false;
    try {
      if (states && Atomics.compareExchange(states, slot, waits, begun) !== waits) return;
      let result: unknown = isClass ? Reflect.construct(fn, args) : Reflect.apply(fn, undefined, args);
      if (typeof (result as PromiseLike<unknown> | undefined)?.then === "function") {
        const promise = result = Promise.resolve(result);
        open[slot] = promise.then(done, done);
        runs = true;
      }
      return result;
    } finally {
      if (!runs) done();
    }
  };
  return (...args) => {
    const slot = args.pop() as number, isClass = args.pop();
    const fn = args.pop() as ((...args: unknown[]) => unknown) | null;
    if (!fn) return open[slot];
    open[slot] = undefined;
    if (free > 0) {
      free--;
      return start(fn, args, isClass, slot);
    }
    // A promise of its own, so that the function knows which call it belongs to.
    const whole = new Promise<void>((resolve) => queue.push(resolve)).then(() => start(fn, args, isClass, slot));
    open[slot] = whole.then(() => {}, () => {});
    return whole;
  };
};
