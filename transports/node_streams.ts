/**
 * Halves of wires over the streams of Node (and Bun, and Deno's imitation): sockets and the pipes of child processes.
 *
 * @module
 */

import type { Sink, Source } from "./join.ts";
import { createSource, ignore } from "./join.ts";

/** What is used of a stream that one can read. */
export interface NodeReadable {
  readonly destroyed?: boolean;
  on(event: string, listener: (value: never) => void): unknown;
  pause(): unknown;
  resume(): unknown;
  destroy(): unknown;
}

/** What is used of a stream that one can write. */
export interface NodeWritable {
  readonly destroyed?: boolean;
  readonly writableLength?: number;
  on(event: string, listener: (value: never) => void): unknown;
  write(chunk: Uint8Array, callback: (error?: Error | null) => void): boolean;
  end(callback: () => void): unknown;
  destroy(): unknown;
}

/** Up to this size a write past the stream is worth trying: more does not fit into a pipe, and to be refused is expensive. */
const SMALL = 32768;

/** Resolves when a stream has freed what it holds. */
function closing(stream: NodeReadable | NodeWritable): Promise<void> {
  return new Promise((resolve) => stream.destroyed ? resolve() : stream.on("close", resolve));
}

/**
 * Reads a Node stream.
 *
 * @param stream The stream.
 * @returns the source
 */
export function nodeSource(stream: NodeReadable): Source {
  const closed = closing(stream);
  let failure: Error | undefined;
  // It may break before anybody reads; what comes after the end is of no interest.
  stream.on("error", (error: Error) => failure ??= error);
  const source = createSource((data) =>
    new Promise<void>((resolve, reject) => {
      const finish = () => failure ? reject(failure) : resolve();
      for (const event of ["error", "end"]) stream.on(event, finish);
      closed.then(finish);
      stream.on("data", (chunk: Uint8Array) => {
        const wait = data(chunk);
        if (!wait) return;
        stream.pause();
        wait.then(() => stream.resume());
      });
    }), () => stream.destroy());
  return { ...source, done: Promise.all([source.done, closed]).then(ignore) };
}

/**
 * Writes to a Node stream.
 *
 * @param stream The stream.
 * @param writeSync Writes what goes without waiting past the stream, which has nothing pending then, or throws.
 * @returns the sink
 */
export function nodeSink(stream: NodeWritable, writeSync?: (chunk: Uint8Array) => number): Sink {
  let issued = 0;
  let finished = 0;
  let failure: Error | undefined;
  let settle: ((error?: Error | null) => void) | undefined;
  // The callbacks come in order, and late even for chunks that the system took at once: only the last one counts.
  const written = (error?: Error | null) => {
    if (++finished === issued) settle?.(error);
  };
  stream.on("error", (error: Error) => failure = error);
  const closed = closing(stream);
  closed.then(() => failure ??= new Error("Stream is closed"));
  return {
    write(chunk) {
      if (failure) return Promise.reject(failure);
      try {
        if (writeSync && chunk.length <= SMALL) chunk = chunk.subarray(writeSync(chunk));
        if (!chunk.length) return;
      } catch {
        // The pipe is full, or broken: the stream finds out.
      }
      issued++;
      settle = undefined;
      stream.write(chunk, written);
      if (stream.writableLength === 0 || finished === issued) return;
      return new Promise((resolve, reject) => settle = (error) => error ? reject(error) : resolve());
    },
    end: () => new Promise((resolve) => stream.end(() => resolve())),
    stop: () => stream.destroy(),
    done: closed,
  };
}
