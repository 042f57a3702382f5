/**
 * Calls as one would write them by hand, without any library, for those who can send and receive a message: JSON, msgpackr, and Node's IPC.
 *
 * @module
 */

import { inSteps, loop, service, usage } from "../peers/contender.ts";
import type { Peer } from "../peers/contender.ts";

/** A message: an answer has a result. */
interface Message {
  readonly id: number;
  readonly value?: unknown;
  readonly result?: unknown;
  /** Asks for so many calls back. */
  readonly loop?: number;
  /** Asks for the memory. */
  readonly usage?: true;
}

/** One side. */
export interface RawPeer extends Omit<Peer, "close"> {
  /** Takes a message that arrived. */
  take(message: Message): void;
}

/** Makes a side from what sends a message. Both sides are alike. */
export function rawPeer(send: (message: Message) => void): RawPeer {
  const waiting = new Map<number, (result: unknown) => void>();
  let last = 0;
  const call = (value: unknown): Promise<unknown> =>
    new Promise((resolve) => {
      waiting.set(++last, resolve);
      send({ id: last, value });
    });
  const ask = (what: { loop: number } | { usage: true }): Promise<unknown> =>
    new Promise((resolve) => {
      waiting.set(++last, resolve);
      send({ id: last, ...what });
    });
  return {
    call,
    callBack: (count) => ask({ loop: count }),
    chain: (value) => inSteps(call, value),
    usage: () => ask({ usage: true }) as ReturnType<Peer["usage"]>,
    take(message) {
      const { id } = message;
      if ("result" in message) {
        const resolve = waiting.get(id)!;
        waiting.delete(id);
        resolve(message.result);
      } else if (message.loop) {
        loop(call, message.loop).then(() => send({ id, result: null }));
      } else if (message.usage) {
        usage().then((result) => send({ id, result }));
      } else send({ id, result: service.echo(message.value) });
    },
  };
}
