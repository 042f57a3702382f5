/**
 * The handlers that servers of benchmarks serve their clients with.
 *
 * @module
 */

import { BiosConnectionHandler, LocalConnectionHandler, ProcessConnectionHandler } from "../../servers/mod.ts";

/** What clients call. */
export const api = { add: (a: number, b: number): number => a + b };

/** The handler of a kind: `process`, `bios`, or else a local one. */
export function handlerOf(
  kind: string | undefined,
): LocalConnectionHandler | ProcessConnectionHandler | BiosConnectionHandler {
  if (kind === "process") return new ProcessConnectionHandler();
  if (kind === "bios") return new BiosConnectionHandler();
  return new LocalConnectionHandler({ expose: api });
}
