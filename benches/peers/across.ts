/**
 * across, with nothing installed on the other side: a bare interpreter that it boots.
 *
 * @module
 */

import { biosCommand, Connection } from "../../mod.ts";
import { relay } from "../../tests/support/relay.ts";
import { startChild } from "../support/pipes.ts";
import type { Contender } from "./contender.ts";
import { usage } from "./contender.ts";

const echo = <T>(value: T): T => value;

const callBack = async (back: (value: number) => Promise<number>, count: number): Promise<void> => {
  for (let i = 0; i < count; i++) await back(i);
};

async function connect(latency: number): Promise<Connection> {
  if (latency === 0) return Connection.fromCommand(biosCommand());
  return Connection.fromTransport(relay(await startChild(biosCommand()), { latency }));
}

/** Ours. */
export const across: Contender = {
  name: "across",
  async start(latency) {
    const conn = await (await connect(latency)).ready();
    return {
      call: (value) => conn.call(echo, value) as Promise<unknown>,
      callBack: (count) => conn.call(callBack, (value: number) => value, count) as Promise<void>,
      chain: (value) => conn.call(echo<number>, conn.call(echo<number>, conn.call(echo<number>, value))),
      usage: () => conn.call(usage),
      close: () => conn.close(),
    };
  },
};
