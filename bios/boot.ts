/**
 * What a BIOS runs once it has the core: makes across importable in its process, and connects it to whoever sent the core.
 *
 * @module
 */

import { bootedConnection } from "../connection.ts";
import * as core from "../mod.ts";
import { exit } from "../runtime/host.ts";
import { stdioWire } from "../transports/stdio.ts";
import { adopt } from "./embedded.ts";

/** What stage 1 knows. */
export interface BootInit {
  /** The packed core as it came, for further hops. */
  readonly payload: Uint8Array;
  /** File descriptor of the wire's input. */
  readonly input: number;
  /** File descriptor of the wire's output. */
  readonly output: number;
}

/** Starts the connection, and ends the process with it. */
export function boot({ payload, input, output }: BootInit): void {
  adopt(payload);
  // Where the facade modules find it that stand for across over here, see modules/loader.ts.
  (globalThis as Record<symbol, unknown>)[Symbol.for("across.core")] = { "@x/across": core };
  const connection = bootedConnection(stdioWire({ input, output }));
  connection.wait().then(() => connection.close()).then(() => exit(0), () => exit(1));
}
