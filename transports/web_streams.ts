/**
 * Wires over web streams: {@linkcode pipesWire} over any two, {@linkcode transportWire} over what users bring along. Also the halves that
 * `child.ts` uses for Deno's children, whose pipes are such streams.
 *
 * @module
 */

import type { Sink, Source } from "./join.ts";
import { createSource, ignore, joinWire } from "./join.ts";
import type { Wire } from "./wire.ts";

/** A byte stream of any kind, for `Connection.fromTransport()`. */
export interface Transport {
  /** What comes from the peer. */
  readonly readable: ReadableStream<Uint8Array>;
  /** What goes to the peer. */
  readonly writable: WritableStream<Uint8Array>;
  /** Resolves when all is freed, after both streams ended or `abort()`; rejects with what broke the transport. */
  readonly closed: Promise<void>;
  /**
   * Ends both directions at once.
   *
   * @param reason Why.
   */
  abort(reason?: unknown): void;
}

/** What a pipe of the system holds at most, so that one read takes all there is. */
const BUFFER_SIZE = 65536;

/**
 * Reads a web stream, with one buffer over and over where the stream can fill one.
 *
 * @param readable The stream; locked from now on.
 * @returns the source
 * @throws {TypeError} when the stream is locked already
 */
export function webSource(readable: ReadableStream<Uint8Array>): Source {
  let byob: ReadableStreamBYOBReader | undefined;
  try {
    byob = readable.getReader({ mode: "byob" });
  } catch {
    // Not a byte stream, or locked, which the next line says better.
  }
  const reader = byob ?? readable.getReader();
  return createSource(async (data) => {
    let buffer = new ArrayBuffer(byob ? BUFFER_SIZE : 0);
    for (;;) {
      // The default reader takes no argument and ignores this one.
      const { done, value } = await (reader as ReadableStreamBYOBReader).read(new Uint8Array(buffer));
      if (done) return;
      const wait = data(value!);
      if (wait) await wait;
      if (byob) buffer = value!.buffer as ArrayBuffer;
    }
  }, (reason) => void reader.cancel(reason).catch(ignore));
}

/**
 * Writes to a web stream.
 *
 * @param writable The stream; locked from now on.
 * @param keeps Whether the stream may hold on to chunks after it said that they are written, as a `TransformStream` does.
 * @returns the sink
 * @throws {TypeError} when the stream is locked already
 */
export function webSink(writable: WritableStream<Uint8Array>, keeps: boolean): Sink {
  const writer = writable.getWriter();
  let free = ignore;
  const done = new Promise<void>((resolve) => free = resolve);
  writer.closed.then(free, free);
  return {
    write: (chunk) => writer.write(keeps ? chunk.slice() : chunk),
    end: () => writer.close().catch(ignore),
    stop(reason) {
      writer.abort(reason).catch(ignore);
      // The stream itself waits for a write that is under way, however long that takes.
      free();
    },
    done,
  };
}

/**
 * A wire over two streams, which are closed or cancelled with it.
 *
 * @param readable What comes from the peer.
 * @param writable What goes to the peer.
 * @returns the wire
 * @throws {TypeError} when one of them is locked already
 */
export function pipesWire(readable: ReadableStream<Uint8Array>, writable: WritableStream<Uint8Array>): Wire {
  return joinWire(webSource(readable), webSink(writable, true));
}

/**
 * A wire over a transport.
 *
 * @param transport What the user brought along.
 * @returns the wire
 * @throws {TypeError} when one of its streams is locked already
 */
export function transportWire(transport: Transport): Wire {
  const wire = pipesWire(transport.readable, transport.writable);
  // It may know of a break that its streams do not tell.
  const gone = transport.closed.catch(wire.abort);
  return {
    ...wire,
    abort(reason) {
      transport.abort(reason);
      wire.abort(reason);
    },
    closed: Promise.all([wire.closed, gone]).then(() => undefined),
  };
}
