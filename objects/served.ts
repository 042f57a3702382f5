/**
 * Objects that live in one process and are driven from another one: {@linkcode Served}. How operations get in is in `gate.ts`, how they get there in
 * `route.ts`.
 *
 * @module
 */

import type { Remote } from "../mod.ts";
import { isProxy, ref } from "../mod.ts";
import { ignore } from "../runtime/waiting.ts";
import { nameOf } from "../session/marks.ts";
import { Gate } from "./gate.ts";
import type { Port } from "./home.ts";
import { Home } from "./home.ts";
import { announce } from "./registry.ts";
import { Route } from "./route.ts";
import type { WaitOptions } from "./waits.ts";

/** How a {@linkcode Served} answers. */
export interface ServedOptions {
  /** Whether what is outstanding when it stops to listen is still answered, instead of refused. True by default. */
  readonly fulfillFinal?: boolean;
  /** Whether objects that calls return are given as proxies, as if by `keep()`. False by default. */
  readonly eagerProxy?: boolean;
}

/** How one listens. */
export interface ListenOptions {
  /** Whether operations are carried out as they arrive. Otherwise they wait for {@linkcode Served.processRequests}. True by default. */
  readonly background?: boolean;
}

/** Serves until it is disposed of. */
export interface Listening extends Disposable, AsyncDisposable {}

/** How requests are processed. */
export interface RequestOptions {
  /** At most so many. No limit by default. */
  readonly limit?: number;
  /** Milliseconds to wait for the first one, if there is none. 0 by default. */
  readonly timeout?: number;
}

/** What travels of a {@linkcode Served}. */
interface Parts {
  readonly target: object;
  readonly fulfillFinal: boolean;
  readonly eagerProxy: boolean;
}

/** What does not: it is here, in one process, and in a table, as no constructor runs where a copy is made. */
interface State {
  readonly parts: Parts;
  readonly route: Route;
  /** What is known of copies, where this is the original. */
  readonly home: Home;
  /** What the original is told by, where this is a copy. */
  readonly origin: Remote<Port> | undefined;
  /** Carries out what is done from within this process. */
  readonly direct: Gate;
  /** Carries out what others ask for; absent while it does not listen. */
  gate: Gate | undefined;
  /** Undoes the announcement of the gate. */
  stopped: (() => void) | undefined;
}

const states = new WeakMap<object, State>();

function stateOf(served: object): State {
  let state = states.get(served);
  if (!state) {
    const origin = Object.getOwnPropertyDescriptor(served, "origin")?.value;
    states.set(served, state = makeState(served as Parts, isProxy(origin) ? origin as Remote<Port> : undefined));
  }
  return state;
}

function makeState(parts: Parts, origin: Remote<Port> | undefined): State {
  const home = new Home();
  const direct = new Gate(parts.target, parts, false);
  const route = new Route(nameOf(parts.target), () => {
    if (state.gate) return direct.face;
    return home.endpoint ?? (home.sent ? undefined : direct.face);
  });
  const state: State = { parts, route, home, origin, direct, gate: undefined, stopped: undefined };
  return state;
}

/** What is known here of the copies of what was made here; for who makes copies. */
export function homeOf(served: Served<object>): Home {
  return stateOf(served).home;
}

/**
 * An object that is driven from another process while that goes on with its own work.
 *
 * A `Served` is made where the object is, and travels with it: it and its target are copied when it is an argument of {@linkcode spawn} or of a call,
 * alone or in a field of an instance of an exported class. The copy over there is what {@linkcode Served.listen} serves, and {@linkcode Served.face},
 * here, speaks to it. Where it did not travel, the face works on the object itself, without any message.
 *
 * @example Within one process
 * ```ts
 * import { Served } from "@x/across/objects";
 * import { assertEquals } from "@std/assert";
 *
 * const served = new Served({ count: 1 });
 * assertEquals(await served.face.count, 1);
 * ```
 */
export class Served<T extends object> {
  /** How the class is called where it travels. */
  static readonly acrossName: string = "@x/across/objects#Served";

  /** For the types alone. */
  declare private readonly target: T;

  /**
   * Wraps an object.
   *
   * @param target The object.
   * @param options How it answers.
   * @throws {TypeError} If it is no object.
   */
  constructor(target: T, options: ServedOptions = {}) {
    if (Object(target) !== target) throw new TypeError(`Cannot serve a ${typeof target}: pass an object`);
    const { fulfillFinal = true, eagerProxy = false } = options;
    Object.assign(this, { target, fulfillFinal, eagerProxy });
    // What copies tell us by. Its value is asked for only where a copy is made: to look at us, or to clone us, is not that.
    const origin = ref<Port | undefined>(undefined);
    Object.defineProperty(origin, "value", {
      enumerable: false,
      get: () => {
        const { home } = stateOf(this);
        home.leave();
        return home.port;
      },
    });
    Object.assign(this, { origin });
  }

  /** The caller's end: of the copy that listens in another process, or, where none was sent, of the object itself. */
  get face(): Remote<T> {
    return stateOf(this).route.face.proxy as Remote<T>;
  }

  /** Whether somebody listens: this one, or a copy of it in another process. */
  get listening(): boolean {
    const { gate, home } = stateOf(this);
    return gate !== undefined || home.endpoint !== undefined;
  }

  /**
   * Starts to serve the object to other processes.
   *
   * @param options Whether operations are carried out as they arrive, or wait for {@linkcode Served.processRequests}.
   * @returns What stops it when it is disposed of.
   * @throws {Error} If it listens already.
   */
  listen(options: ListenOptions = {}): Listening {
    const { background = true } = options;
    const state = stateOf(this);
    if (state.gate) throw new Error(`Cannot listen twice: stop() first`);
    const gate = state.gate = new Gate(state.parts.target, state.parts, !background);
    const { proxy } = gate.face;
    const { origin } = state;
    if (origin) {
      origin.attach(proxy).catch(ignore);
      state.stopped = () => void origin.detach(proxy).catch(ignore);
    } else state.stopped = announce(proxy);
    state.home.opened();
    const stop = () => {
      if (state.gate === gate) this.stop();
    };
    return { [Symbol.dispose]: stop, [Symbol.asyncDispose]: () => Promise.resolve(stop()) };
  }

  /** Stops to serve. What is outstanding is answered or refused, as was asked for; what comes later is refused. Doing it twice is harmless. */
  stop(): void {
    const state = stateOf(this);
    const { gate, stopped } = state;
    state.gate = undefined;
    stopped?.();
    gate?.stop(state.parts.fulfillFinal);
  }

  /**
   * Carries out operations that wait, where one listens with `background: false`. Gives the event loop a turn first, so that a loop that does nothing
   * but this sees what arrives.
   *
   * @param options How many, and how long to wait for the first.
   * @returns How many were carried out.
   * @throws {Error} If it does not listen.
   */
  async processRequests(options: RequestOptions = {}): Promise<number> {
    const { limit = Infinity, timeout = 0 } = options;
    const { gate } = stateOf(this);
    if (!gate) throw new Error("Cannot process requests without listening: call listen({ background: false }) first");
    return await gate.carryOut(limit, timeout);
  }

  /**
   * Waits until somebody listens.
   *
   * @param options How long.
   * @throws {DOMException} A `TimeoutError`, if the time is over.
   * @throws {Error} If the process that {@linkcode spawn} started with it ends before.
   */
  async untilListening(options: WaitOptions = {}): Promise<void> {
    await stateOf(this).home.until(() => this.listening, "Nobody listened", options);
  }
}
