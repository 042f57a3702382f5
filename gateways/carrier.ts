/**
 * What a gateway does for another one that goes through it, over there. It takes all of across to start and to join connections, which a gateway is not
 * sent before it has to carry. What every gateway does over there is in `far_end.ts`.
 *
 * @module
 */

import type { Reference } from "../mod.ts";
import { Connection, getConnection, ref } from "../mod.ts";
import { ignore } from "../runtime/waiting.ts";
import { wires } from "../wires.ts";
import { dial } from "./dial.ts";
import type { Lane } from "./lane.ts";
import { LaneEnd, laneTo } from "./lane.ts";
import type { XSpecInit } from "./spec.ts";
import { XSpec } from "./spec.ts";

/** What of this is called from elsewhere. */
export interface CarrierModule {
  /** See {@linkcode carry}. */
  carry(init: XSpecInit, back: Lane, tell: (how?: unknown) => unknown): Reference<Carriage>;
  /** See {@linkcode joinFarEnd}. */
  joinFarEnd(readable: ReadableStream<Uint8Array>, writable: WritableStream<Uint8Array>): void;
}

/** A further gateway, as the one that carries it has it: what is said to it is put here. */
export class Carriage implements Lane {
  readonly #there = new TransformStream<Uint8Array, Uint8Array>();
  readonly #lane = new LaneEnd(this.#there.writable);
  #inner: Connection | undefined;
  #stopped = false;

  /** See {@linkcode Lane.put}. */
  put(seq: number, chunk: Uint8Array): unknown {
    return this.#lane.put(seq, chunk);
  }

  /** See {@linkcode Lane.end}. */
  end(seq: number): unknown {
    return this.#lane.end(seq);
  }

  /** Kills it. */
  stop(): void {
    this.#stopped = true;
    this.#inner?.cancel();
    this.#lane.abort(new Error("It was stopped"));
  }

  /**
   * Starts it, and joins it to a pair of lanes.
   *
   * @throws {Error} Why it could not be started, or how it ended.
   */
  async run(init: XSpecInit, back: Lane): Promise<void> {
    const inner = this.#inner = await dial(new XSpec(init));
    try {
      if (this.#stopped) return;
      await inner.ready();
      await inner.import<CarrierModule>("@x/across/gateways").joinFarEnd(this.#there.readable, laneTo(back));
      await inner.wait();
      // It says why there is nothing to ask any more.
      const { message } = await inner.execute("0").then(() => new Error(), (error: Error) => error);
      if (message) throw new Error(message);
    } finally {
      inner.cancel();
      await inner.close().catch(ignore);
    }
  }
}

/**
 * Starts a further gateway and joins it to a pair of lanes. Over these it is spoken to from where they come from, as if it had been started there; but
 * across itself it gets from here. Gateways call it; it is not for programs.
 *
 * @param init What to start.
 * @param back Takes what it says.
 * @param tell Is told when it has ended, and why.
 * @returns Takes what is said to it.
 */
export function carry(init: XSpecInit, back: Lane, tell: (how?: unknown) => unknown): Reference<Carriage> {
  const carriage = new Carriage();
  // Whoever it is carried for may be gone, and hear nothing.
  const say = (how?: unknown): void => void Promise.resolve(tell(how)).catch(ignore);
  carriage.run(init, back).then(() => say(), say);
  void getConnection().wait().then(() => carriage.stop());
  return ref(carriage);
}

/**
 * Makes this process an end of a further connection, and ends the one that this was called over with it. Gateways call it; it is not for programs.
 *
 * @param readable What the peer writes.
 * @param writable What the peer reads.
 */
export function joinFarEnd(readable: ReadableStream<Uint8Array>, writable: WritableStream<Uint8Array>): void {
  const outer = getConnection();
  const { link } = wires().watched(outer);
  const writer = writable.getWriter();
  writer.closed.catch(ignore);
  // What was gathered in one turn leaves in that turn: what runs next may keep this thread busy for ever.
  const back = new WritableStream<Uint8Array>({
    write(chunk) {
      const done = writer.write(chunk);
      link.flush();
      return done;
    },
    close: () => writer.close(),
    abort: (reason) => writer.abort(reason),
  });
  // It ends with the outer one, and who is at the other end may be busy for as long as it likes.
  const init = { acceptCalls: true, acceptExportedModules: true, timeout: Infinity };
  const inner = Connection.fromPipes(readable, back, init);
  void inner.wait().then(() => inner.close()).catch(ignore).then(() => outer.close()).catch(ignore);
}
