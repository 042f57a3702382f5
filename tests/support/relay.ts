/**
 * A relay between two byte streams that adds one-way latency and keeps count: bytes each way, and how often the direction changed, which tells
 * the round trips. Knows nothing of the protocol.
 *
 * @module
 */

/** Either end of a byte stream. */
export interface Duplex {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
}

/** What went through a relay, as the near side saw it. */
export interface RelayCounts {
  /** Bytes that the near side wrote. */
  sent: number;
  /** Bytes that reached the near side. */
  received: number;
  /** Chunks that the near side wrote. */
  writes: number;
  /** How often the near side wrote after it had received something since its last write. A first burst after a greeting is one. */
  turns: number;
}

/** The near side of a relay. It has the face of a `Transport`. */
export interface Relay extends Duplex {
  readonly counts: RelayCounts;
  /** Resolves when both directions have ended. */
  readonly closed: Promise<void>;
  /** Breaks both directions now. */
  abort(reason?: unknown): void;
}

/** A stage that delivers every chunk `latency` milliseconds after it came, in order, without making later ones wait for earlier ones' timers. */
function delayed(latency: number, seen: (size: number) => void): TransformStream<Uint8Array, Uint8Array> {
  let last: Promise<void> = Promise.resolve();
  return new TransformStream<Uint8Array, Uint8Array>(
    {
      transform(chunk, controller): void {
        const copy = chunk.slice(); // the writer may reuse its buffer
        seen(copy.length);
        const due = new Promise<void>((resolve) => latency > 0 ? setTimeout(resolve, latency) : resolve());
        last = last.then(() => due).then(() => controller.enqueue(copy)).catch(() => {}); // errored meanwhile: nobody reads it
      },
      flush: () => last,
    },
    { highWaterMark: 1024 },
    { highWaterMark: 1024 },
  );
}

/**
 * Puts a relay in front of a stream pair.
 *
 * @param far The pair to relay to, such as the stdout and stdin of a child.
 * @param init `latency`: milliseconds each way; `onAbort`: called when the near side aborts.
 * @returns the near side
 */
export function relay(far: Duplex, init: { latency?: number; onAbort?: (reason?: unknown) => void } = {}): Relay {
  const { latency = 0 } = init;
  const counts: RelayCounts = { sent: 0, received: 0, writes: 0, turns: 0 };
  let heard = false;
  // A write counts when it is made, what arrives when it is delivered: both as the near side sees them.
  const out = delayed(latency, (size) => {
    counts.sent += size;
    counts.writes++;
    if (heard) counts.turns++;
    heard = false;
  });
  const back = delayed(latency, () => {});
  const count = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller): void {
      counts.received += chunk.length;
      heard = true;
      controller.enqueue(chunk);
    },
  });
  const stop = new AbortController();
  const closed = Promise.allSettled([
    out.readable.pipeTo(far.writable, { signal: stop.signal }),
    far.readable.pipeTo(back.writable, { signal: stop.signal }),
    back.readable.pipeTo(count.writable, { signal: stop.signal }),
  ]).then(() => {});
  return {
    readable: count.readable,
    writable: out.writable,
    counts,
    closed,
    abort(reason?: unknown): void {
      stop.abort(reason);
      init.onAbort?.(reason);
    },
  };
}

/** A child behind a relay. */
export interface RelayedChild extends Relay {
  readonly child: Deno.ChildProcess;
}

/**
 * Starts a program and puts a relay before its stdio.
 *
 * @param argv Program and arguments.
 * @param latency Milliseconds each way.
 * @returns the near side; its `closed` also waits for the child's end
 */
export function relayCommand(argv: readonly string[], latency = 0): RelayedChild {
  const [program = "", ...args] = argv;
  const child = new Deno.Command(program, { args, stdin: "piped", stdout: "piped", stderr: "inherit" }).spawn();
  const near = relay({ readable: child.stdout, writable: child.stdin }, {
    latency,
    onAbort: () => {
      try {
        child.kill("SIGKILL");
      } catch { /* it has ended already */ }
    },
  });
  return { ...near, child, closed: near.closed.then(() => child.status).then(() => {}) };
}
