/**
 * Wires over what carries messages instead of a stream: each one is some bytes of it, and a special one says that nothing more comes. What is
 * particular to WebSockets and ports is in `websocket.ts` and `port.ts`.
 *
 * @module
 */

import { ignore } from "./join.ts";
import type { Wire, WireReceiver } from "./wire.ts";

/** How many bytes one message has at most: more than a single one takes is refused by some receivers. */
const PIECE = 1 << 18;

/** What carries messages. */
export interface Channel {
  /** Resolves when it can be used, rejects with what kept it from opening. Absent where it is open from the start. */
  readonly opened?: Promise<void> | undefined;
  /** Sends bytes, which may be changed afterwards. */
  post(chunk: Uint8Array): void;
  /** Tells the peer that nothing more comes. */
  postEnd(): void;
  /** Resolves when there is room for more; nothing if there is. It need not resolve any more once the channel is gone. */
  room(): Promise<void> | undefined;
  /** Frees it: when both directions have ended, or at once, which may follow that. Resolves when it is free. */
  close(abort: boolean): Promise<void>;
  /** As {@linkcode Wire.hold}. */
  hold?(on: boolean): void;
}

/** Where a channel delivers. */
export interface Incoming {
  /** Bytes arrived. */
  data(chunk: Uint8Array): void;
  /** Nothing more comes from the peer. */
  end(): void;
  /** The channel is gone; `error` is what broke it. */
  gone(error?: unknown): void;
}

/**
 * Makes a wire of a channel.
 *
 * @param open Makes the channel, which delivers to `incoming` from then on.
 * @returns the wire
 */
export function messageWire(open: (incoming: Incoming) => Channel): Wire {
  let receiver: WireReceiver | undefined;
  let free: () => void = ignore;
  const closed = new Promise<undefined>((resolve) => free = () => resolve(undefined));
  /** Whether our direction has ended, or the peer's, or all. */
  let sent = false, ended = false, over = false;
  let reason: unknown;
  const finish = (error?: unknown) => {
    if (ended) return;
    ended = true;
    reason = error;
    receiver?.end(error);
  };
  const close = (abort: boolean) => {
    if (over && !abort) return;
    over = true;
    channel.close(abort).then(free);
  };
  const channel = open({
    data(chunk) {
      if (!ended) receiver?.data(chunk);
    },
    end() {
      finish();
      if (sent) close(false);
    },
    gone(error) {
      finish(error);
      close(true);
    },
  });
  channel.opened?.catch(ignore);
  const post = (chunk: Uint8Array): Promise<void> | undefined => {
    if (sent || over) return Promise.reject(new Error("The channel is closed"));
    try {
      for (let at = 0; at < chunk.length; at += PIECE) channel.post(chunk.subarray(at, at + PIECE));
    } catch (error) {
      return Promise.reject(error);
    }
    return channel.room();
  };
  let isOpen = !channel.opened;
  channel.opened?.then(() => isOpen = true, ignore);
  return {
    ...(channel.opened ? { opened: channel.opened } : {}),
    start(to) {
      receiver = to;
      if (ended) to.end(reason);
    },
    write: (chunk) => isOpen ? post(chunk) : channel.opened!.then(() => post(chunk)),
    async end() {
      try {
        await channel.opened;
        if (sent || over) return;
        sent = true;
        channel.postEnd();
        if (ended) close(false);
      } catch {
        // It is not open, or not any more, which the other direction tells.
      }
    },
    abort(why) {
      finish(why);
      close(true);
    },
    hold: (on) => channel.hold?.(on),
    closed,
  };
}
