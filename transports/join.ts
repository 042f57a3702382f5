/**
 * How a wire is put together: one source of bytes, one sink, and what is behind them. What the halves have in common is here, too; the halves
 * themselves are in `web_streams.ts`, `node_streams.ts` and `files.ts`.
 *
 * @module
 */

import type { Wire, WireReceiver } from "./wire.ts";

/** Takes a chunk. The next one comes when the promise, if there is one, has resolved. */
export type Take = (chunk: Uint8Array) => Promise<void> | void;

/** The half of a wire that reads. */
export interface Source {
  /** As {@linkcode Wire.start}. */
  start(receiver: { data: Take; end(error?: unknown): void }): void;
  /** Ends it now; the receiver's end gets the reason. */
  stop(reason?: unknown): void;
  /** Resolves when it is freed. Never rejects. */
  readonly done: Promise<void>;
}

/** The half of a wire that writes. */
export interface Sink {
  /** As {@linkcode Wire.write}. */
  write(chunk: Uint8Array): Promise<void> | undefined;
  /** As {@linkcode Wire.end}. */
  end(): Promise<void>;
  /** Ends it now; a pending write rejects with the reason. */
  stop(reason?: unknown): void;
  /** Resolves when it is freed. Never rejects. */
  readonly done: Promise<void>;
}

/** For promises whose failure somebody else reports. */
export const ignore = (): void => {};

/**
 * Makes a source from its loop.
 *
 * @param run Reads until the stream ends, rejects when it breaks. Runs once at most.
 * @param cancel Frees what `run` reads from, whether it runs or not.
 * @returns the source
 */
export function createSource(run: (data: Take) => Promise<unknown>, cancel: (reason: unknown) => void): Source {
  let free = ignore;
  let halt = ignore;
  const halted = new Promise<void>((resolve) => halt = resolve);
  let started = false;
  let stopped = false;
  let reason: unknown;
  return {
    done: new Promise((resolve) => free = resolve),
    start(receiver) {
      started = true;
      // What arrives between the stop and the end of the loop is nobody's business, and where that end cannot be forced it is not waited for.
      const running = stopped ? halted : run((chunk) => stopped ? undefined : receiver.data(chunk));
      Promise.race([running, halted]).catch((error) => {
        if (!stopped) reason = error;
      }).then(() => {
        receiver.end(reason);
        free();
      });
    },
    stop(why) {
      if (stopped) return;
      stopped = true;
      reason = why;
      halt();
      cancel(why);
      if (!started) free();
    },
  };
}

/**
 * Joins two halves to a wire that holds the event loop as long as they do.
 *
 * @param source What it reads from.
 * @param sink What it writes to.
 * @param behind What is different: for example what else has to happen at the end.
 * @returns the wire
 */
export function joinWire(source: Source, sink: Sink, behind: Partial<Wire> = {}): Wire {
  return {
    start: (receiver: WireReceiver) => source.start(receiver),
    write: sink.write,
    end: sink.end,
    abort(reason) {
      source.stop(reason);
      sink.stop(reason);
    },
    hold: ignore,
    closed: Promise.all([source.done, sink.done]).then(() => undefined),
    ...behind,
  };
}
