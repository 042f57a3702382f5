/**
 * What a transport gives the session: bytes in, bytes out, and an end that frees everything. The interfaces only; the implementations are beside
 * this file, one per kind of transport.
 *
 * @module
 */

/** Where a wire delivers what it reads. */
export interface WireReceiver {
  /**
   * Takes bytes that arrived. Must not throw.
   *
   * @param chunk Valid only until this returns, or the promise that it returned resolves: the buffer is used again.
   * @returns Nothing, or a promise: what comes next is not read before it has resolved.
   */
  data(chunk: Uint8Array): Promise<void> | void;
  /**
   * Called once, after the last `data()` and before `closed` resolves.
   *
   * @param error What broke the stream, or the reason of `abort()`; absent at a regular end.
   */
  end(error?: unknown): void;
}

/** How the process behind a wire ended. */
export interface WireExit {
  /** Its exit status; null when a signal ended it. */
  readonly code: number | null;
  /** The signal that ended it, as in `SIGKILL`. */
  readonly signal: string | null;
  /** The end of what it wrote to stderr, at most 8 KiB. */
  readonly stderr: string;
}

/** A two-way byte stream, shaped for speed: no object or promise per chunk that can be avoided. */
export interface Wire {
  /**
   * Begins to read. To be called once.
   *
   * @param receiver Gets what arrives.
   */
  start(receiver: WireReceiver): void;
  /**
   * Writes bytes. Only one write at a time: wait for the promise before the next.
   *
   * @param chunk Not to be changed until the write is done.
   * @returns Nothing when the chunk is taken already, else a promise that settles when it may be reused.
   */
  write(chunk: Uint8Array): Promise<void> | undefined;
  /** Ends our direction after the writes so far; the other one goes on. Never rejects. */
  end(): Promise<void>;
  /**
   * Ends everything at once, kills the child. What was not written yet is lost, and a pending write need not settle. Later calls do nothing.
   *
   * @param reason What `WireReceiver.end()` gets.
   */
  abort(reason?: unknown): void;
  /**
   * Says whether the wire keeps the process alive, which it does at first.
   *
   * @param on False: the process may end while the wire is open.
   */
  hold(on: boolean): void;
  /** Resolves when all is freed and the child, if any, is reaped: with how it ended. Never rejects. */
  readonly closed: Promise<WireExit | undefined>;
  /** Rejects with the error that kept the wire from opening; absent where it is open from the start. */
  readonly opened?: Promise<void>;
  /** Whether it runs over a socket that was accepted, as far as one can tell; absent where the factory tells who dialled. */
  readonly accepted?: boolean;
  /** Says how it ended for people, as in `Command "ssh" ended with status 255: <the end of its stderr>`. */
  describe?(): string;
}
