/**
 * Lanes: bytes that are moved over a connection by calls, in one direction. Unlike a stream, a lane on which nothing moves keeps no process alive, as
 * every call is answered at once. Gateways that go through others are spoken to over two of them, see `carrier.ts`.
 *
 * @module
 */

import { OperationError } from "../mod.ts";

/** Bytes that may be unanswered before a writer waits, and what each call counts for besides. */
const WINDOW = 1 << 20, OVERHEAD = 256;

/** What one end of a lane calls of the other. Calls are numbered, as a large one may be overtaken. */
export interface Lane {
  /** Takes bytes. The answer says that there is room for more. */
  put(seq: number, chunk: Uint8Array): unknown;
  /** Nothing follows. */
  end(seq: number): unknown;
}

/** Where a lane ends. */
export class LaneEnd implements Lane {
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  #next = 0;
  readonly #early = new Map<number, () => void>();

  /**
   * Ends a lane.
   *
   * @param writable Gets what comes.
   */
  constructor(writable: WritableStream<Uint8Array>) {
    this.#writer = writable.getWriter();
    this.#writer.closed.catch(() => {});
  }

  /** See {@linkcode Lane.put}. */
  put(seq: number, chunk: Uint8Array): Promise<void> {
    return this.#take(seq, () => this.#writer.write(chunk));
  }

  /** See {@linkcode Lane.end}. */
  end(seq: number): Promise<void> {
    return this.#take(seq, () => this.#writer.close());
  }

  /** Nothing more is to be expected. */
  abort(reason: unknown): void {
    this.#writer.abort(reason).catch(() => {});
  }

  #take(seq: number, act: () => Promise<void>): Promise<void> {
    if (!(seq >= this.#next) || this.#early.size > WINDOW / OVERHEAD) {
      throw new OperationError(`Cannot take part ${seq} of a lane`);
    }
    return new Promise((resolve, reject) => {
      this.#early.set(seq, () => act().then(resolve, reject));
      for (let next; (next = this.#early.get(this.#next));) {
        this.#early.delete(this.#next++);
        next();
      }
    });
  }
}

/**
 * Where a lane begins.
 *
 * @param lane Its end, somewhere else.
 * @param tell Makes the calls to that; as they are, without it.
 * @returns What is written to it goes there.
 */
export function laneTo(
  lane: Lane,
  tell: (call: () => unknown) => unknown = (call) => call(),
): WritableStream<Uint8Array> {
  let seq = 0, under = 0;
  let room = (): void => {};
  let failure: { readonly error: unknown } | undefined;
  const said = (size: number, answer: unknown): void => {
    under += size;
    Promise.resolve(answer).then(
      () => {
        under -= size;
        room();
      },
      (error) => {
        failure ??= { error };
        room();
      },
    );
  };
  return new WritableStream({
    async write(chunk) {
      while (under >= WINDOW && !failure) await new Promise<void>((resolve) => room = resolve);
      if (failure) throw failure.error;
      said(chunk.length + OVERHEAD, tell(() => lane.put(seq++, chunk)));
    },
    close: () => said(0, tell(() => lane.end(seq++))),
    abort: () => said(0, tell(() => lane.end(seq++))),
  });
}
