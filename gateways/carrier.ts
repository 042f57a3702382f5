/**
 * What a gateway does for another one that goes through it, over there. It takes all of across to start and to join connections, which a gateway is not
 * sent before it has to carry. What every gateway does over there is in `far_end.ts`.
 *
 * @module
 */

import { Connection, getCallSignal, getConnection } from "../mod.ts";
import { ignore } from "../runtime/waiting.ts";
import { dial } from "./dial.ts";
import type { XSpecInit } from "./spec.ts";
import { XSpec } from "./spec.ts";

/** What of this is called from elsewhere. */
export interface CarrierModule {
  /** See {@linkcode carry}. */
  carry(
    init: XSpecInit,
    readable: ReadableStream<Uint8Array>,
    writable: WritableStream<Uint8Array>,
  ): Promise<string>;
  /** See {@linkcode joinFarEnd}. */
  joinFarEnd(readable: ReadableStream<Uint8Array>, writable: WritableStream<Uint8Array>): void;
}

/**
 * Starts a further gateway and joins it to a pair of streams. Over these it is spoken to from where they come from, as if it had been started there;
 * but across itself it gets from here. Gateways call it; it is not for programs.
 *
 * @param init What to start.
 * @param readable What is said to it.
 * @param writable What it says.
 * @returns How it ended, when it has.
 */
export async function carry(
  init: XSpecInit,
  readable: ReadableStream<Uint8Array>,
  writable: WritableStream<Uint8Array>,
): Promise<string> {
  const signal = getCallSignal();
  const inner = await dial(new XSpec(init));
  const cancel = () => inner.cancel();
  signal.addEventListener("abort", cancel);
  try {
    signal.throwIfAborted();
    await inner.ready();
    await inner.import<CarrierModule>("@x/across/gateways").joinFarEnd(readable, writable);
    await inner.wait();
    return await inner.execute("0").then(() => "", (error: unknown) => (error as Error).message);
  } finally {
    signal.removeEventListener("abort", cancel);
    inner.cancel();
    await inner.close().catch(ignore);
  }
}

/**
 * Makes this process an end of a further connection, and ends the one that this was called over with it. Gateways call it; it is not for programs.
 *
 * @param readable What the peer writes.
 * @param writable What the peer reads.
 */
export function joinFarEnd(readable: ReadableStream<Uint8Array>, writable: WritableStream<Uint8Array>): void {
  const outer = getConnection();
  const inner = Connection.fromPipes(readable, writable, { acceptCalls: true, acceptExportedModules: true });
  void inner.wait().then(() => inner.close()).catch(ignore).then(() => outer.close()).catch(ignore);
}
