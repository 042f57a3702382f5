/**
 * What a BIOS runs first of across: connects its process to whoever sent it. All that is needed for that is the kernel; its extension comes over the
 * connection (`session/extension.ts`), and the rest of across with the first module that imports it.
 *
 * @module
 */

import { LIMITS } from "../protocol/limits.ts";
import { SUPERBLOCK_SIZE } from "../protocol/superblock.ts";
import { inflate } from "../runtime/deflate.ts";
import { exit, hostName, parentPid, writeStderr } from "../runtime/host.ts";
import { extension, isExtended } from "../session/extension.ts";
import { Session } from "../session/session.ts";
import { stdioWire } from "../transports/stdio.ts";
import type { Wire } from "../transports/wire.ts";
import { setPayload } from "./payload.ts";

/** Milliseconds. */
const TIMEOUT = 60_000;

/** What stage 1 knows, and what stands around the kernel. */
export interface BootInit {
  /** The packed kernel as it came, for further hops. */
  readonly payload: Uint8Array;
  /** File descriptor of the wire's input. */
  readonly input?: number;
  /** File descriptor of the wire's output. */
  readonly output?: number;
  /** The wire itself, in a worker. */
  readonly wire?: Wire;
  /** Told when the handshake is done; gets what ends the connection with a goodbye. For a server that watches over the process. */
  greeted?(close: () => Promise<void>): void;
  /** Runs the text of the extension among the names of the kernel. */
  evaluate(text: string): void;
}

/** Starts the connection, and ends the process with it. */
export function boot({ payload, input, output, wire: port, greeted, evaluate }: BootInit): void {
  const parent = parentPid();
  const stdio = port ? undefined : stdioWire({ input, output });
  let peerTimeout: number | undefined;
  /** Once the first answers have left, as it takes the main thread some time, and before the next call can begin. */
  const watch = (): void => {
    // A worker ends with its process, and stays silent while it is busy.
    if (parent === undefined || !stdio || peerTimeout === undefined || !isExtended()) return;
    const heartbeat = { fd: stdio.output, interval: peerTimeout / 2, lock: stdio.share() };
    extension().watch({ parent, ...(peerTimeout < Infinity ? { heartbeat } : {}) }, () => session.seconded());
  };
  let left = SUPERBLOCK_SIZE;
  const wire = port ?? stdio!;
  wire.hold(true); // all the time, as it is the purpose of the process
  const session = new Session({
    wire,
    options: { timeout: TIMEOUT, acceptExportedModules: true, maxMessageSize: LIMITS.messageSize },
    acceptCalls: true,
    ...(stdio ? { leave: () => exit(0) } : {}),
    // Not while bytes are on their way that a thread could not send, let alone another for it, while it is busy.
    beforeCall: (link) => link.calm(),
    greeted: () => greeted?.(() => session.close()),
    // Whoever sent us the kernel speaks as we do: its superblock is passed over.
    opening: {
      noise: "",
      feed(chunk) {
        const rest = chunk.subarray(left);
        left -= chunk.length - rest.length;
        return left ? undefined : { kind: "superblock", rest };
      },
    },
    // The end of its parent ends its stdin, and that of a worker's program ends the worker: that these are busy, or stopped, is no reason to give up.
    // Over a network one may block oneself for a minute, or for as long as one says that silence may last.
    patience: ({ pid, host, timeout }) =>
      port || pid === parent && (hostName() ?? host) === host ? Infinity : Math.max(TIMEOUT, timeout),
    extend: async (packed) => {
      packed = new Uint8Array(packed); // it was a view of what is read into
      const first = !isExtended();
      if (first) setPayload({ kernel: payload, extension: packed, entry: (name) => session.entry(name) });
      evaluate(new TextDecoder().decode(await inflate(packed, LIMITS.messageSize)));
      if (first) watch();
    },
  });
  session.served.promise.then((timeout) => {
    peerTimeout = timeout;
    watch();
  });
  session.wait().then(() => session.close()).then(() => exit(0), (error) => {
    writeStderr(`across: ${error.message}\n`);
    exit(1);
  });
}
