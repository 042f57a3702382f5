/**
 * birpc over stdio, as lines of JSON, which is what it leaves to its users. Without its timers, as across has none by default.
 *
 * @module
 */

import { createBirpc } from "npm:birpc@4.2.0";
import { linesOver, ownPipes } from "../support/pipes.ts";
import type { Pipes } from "../support/pipes.ts";
import type { Contender, Usage } from "./contender.ts";
import { inSteps, loop, service, startServing } from "./contender.ts";

type Near = { back(value: number): number };
type Far = { echo(value: unknown): unknown; loop(count: number): Promise<void>; usage(): Promise<Usage> };

function options(pipes: Pipes) {
  const lines = linesOver(pipes);
  return {
    post: lines.send,
    on: lines.receive,
    serialize: JSON.stringify,
    deserialize: JSON.parse,
    timeout: -1,
  };
}

/** birpc. */
export const birpc: Contender = {
  name: "birpc",
  textOnly: true,
  async start(latency) {
    const pipes = await startServing(this.name, latency);
    const rpc = createBirpc<Far, Near>({ back: (value) => value }, options(pipes));
    const call = (value: unknown) => rpc.echo(value);
    return {
      call,
      callBack: (count) => rpc.loop(count),
      chain: (value) => inSteps(call, value),
      usage: () => rpc.usage(),
      close: pipes.close,
    };
  },
  serve() {
    const far: Far = { ...service, loop: (count) => loop((value) => rpc.back(value), count) };
    const rpc = createBirpc<Near, Far>(far, options(ownPipes()));
  },
};
