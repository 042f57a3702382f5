/**
 * What a BIOS runs first of across: connects its process to whoever sent it. All that is needed for that is the kernel; the rest of across comes with
 * the first module that imports it.
 *
 * @module
 */

import { openConnection, sessionOf } from "../connection.ts";
import { LIMITS } from "../protocol/limits.ts";
import { exit, parentPid, writeStderr } from "../runtime/host.ts";
import { startWatchdog } from "../runtime/watchdog.ts";
import { stdioWire } from "../transports/stdio.ts";
import { setPayload } from "./payload.ts";

/** What stage 1 knows. */
export interface BootInit {
  /** The packed kernel as it came, for further hops. */
  readonly payload: Uint8Array;
  /** File descriptor of the wire's input. */
  readonly input: number;
  /** File descriptor of the wire's output. */
  readonly output: number;
}

/** Starts the connection, and ends the process with it. */
export function boot({ payload, input, output }: BootInit): void {
  const parent = parentPid();
  const wire = stdioWire({ input, output });
  const options = { timeout: 60_000, acceptExportedModules: true, maxMessageSize: LIMITS.messageSize };
  const connection = openConnection(options, { wire, acceptCalls: true, steady: true, booted: true });
  const session = sessionOf(connection);
  setPayload({ kernel: payload, entry: (name) => session.entry(name) });
  // Once the first answers have left, as it takes the main thread some time.
  session.served.then((peerTimeout) => {
    if (parent === undefined) return;
    const heartbeat = { fd: wire.output, interval: peerTimeout / 2, lock: wire.share() };
    startWatchdog({ parent, ...(peerTimeout < Infinity ? { heartbeat } : {}) });
  });
  connection.wait().then(() => connection.close()).then(() => exit(0), (error) => {
    writeStderr(`across: ${error.message}\n`);
    exit(1);
  });
}
