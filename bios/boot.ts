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
import type { Wire } from "../transports/wire.ts";
import { setPayload } from "./payload.ts";

/** What stage 1 knows. */
export interface BootInit {
  /** The packed kernel as it came, for further hops. */
  readonly payload: Uint8Array;
  /** File descriptor of the wire's input. */
  readonly input?: number;
  /** File descriptor of the wire's output. */
  readonly output?: number;
  /** The wire itself, in a worker. */
  readonly wire?: Wire;
}

/** Starts the connection, and ends the process with it. */
export function boot({ payload, input, output, wire: port }: BootInit): void {
  const parent = parentPid();
  const stdio = port ? undefined : stdioWire({ input, output });
  const wire = port ?? stdio!;
  const options = { timeout: 60_000, acceptExportedModules: true, maxMessageSize: LIMITS.messageSize };
  const connection = openConnection(options, { wire, acceptCalls: true, steady: true, booted: true });
  const session = sessionOf(connection);
  setPayload({ kernel: payload, entry: (name) => session.entry(name) });
  // Once the first answers have left, as it takes the main thread some time.
  session.served.then((peerTimeout) => {
    // A worker ends with its process, and stays silent while it is busy.
    if (parent === undefined || !stdio) return;
    const heartbeat = { fd: stdio.output, interval: peerTimeout / 2, lock: stdio.share() };
    startWatchdog({ parent, ...(peerTimeout < Infinity ? { heartbeat } : {}) });
  });
  connection.wait().then(() => connection.close()).then(() => exit(0), (error) => {
    writeStderr(`across: ${error.message}\n`);
    exit(1);
  });
}
