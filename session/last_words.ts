/**
 * What is known when a peer is lost.
 *
 * @module
 */

import { within } from "../runtime/waiting.ts";
import type { Wire } from "../transports/wire.ts";

/** How long a lost process is given to say how it ended, before its callers are told without. Milliseconds. */
const LAST_WORDS = 300;

/**
 * Finds out why a stream ended without a goodbye.
 *
 * @param wire What it belongs to.
 * @param error What was said about it, if anything.
 * @param greeted Whether the handshake was done.
 * @param noise What came before any message.
 */
export async function lastWords(wire: Wire, error: unknown, greeted: boolean, noise: string): Promise<unknown> {
  if (!wire.describe) return error ?? new Error("The peer ended the stream without a goodbye");
  // How a process ended says more than that its stream did.
  await within(LAST_WORDS, wire.closed);
  const what = greeted ? wire.describe() : wire.describe().replace(/^[^:]*/, "$& before the handshake");
  return new Error(noise ? `${what}; its output was: ${noise}` : what, error === undefined ? {} : { cause: error });
}
