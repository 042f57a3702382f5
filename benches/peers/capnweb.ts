/**
 * Cap'n Web over stdio: one line for each of its messages, which are JSON. It pipelines, and encodes bytes itself.
 *
 * @module
 */

// deno-lint-ignore-file no-explicit-any -- its types do not follow a generic service

import { RpcSession, RpcTarget } from "npm:capnweb@0.12.0";
import type { RpcTransport } from "npm:capnweb@0.12.0";
import { linesOver, ownPipes } from "../support/pipes.ts";
import type { Pipes } from "../support/pipes.ts";
import type { Contender, Usage } from "./contender.ts";
import { loop, service, startServing } from "./contender.ts";

class Far extends RpcTarget {
  echo(value: unknown): unknown {
    return service.echo(value);
  }
  usage(): Promise<Usage> {
    return service.usage();
  }
  loop(back: (value: number) => unknown, count: number): Promise<void> {
    return loop(back, count);
  }
}

function transport(pipes: Pipes): RpcTransport {
  const lines = linesOver(pipes);
  const arrived: string[] = [];
  let wanted: ((line: string) => void) | undefined;
  lines.receive((line) => {
    if (!wanted) return void arrived.push(line);
    wanted(line);
    wanted = undefined;
  });
  return {
    send: lines.send,
    receive: () => arrived.length > 0 ? Promise.resolve(arrived.shift()!) : new Promise((resolve) => wanted = resolve),
  };
}

/** Cap'n Web. */
export const capnweb: Contender = {
  name: "capnweb",
  async start(latency) {
    const pipes = await startServing(this.name, latency);
    const far: any = new RpcSession(transport(pipes)).getRemoteMain();
    return {
      call: (value) => far.echo(value),
      callBack: (count) => far.loop((value: number) => value, count),
      chain: (value) => far.echo(far.echo(far.echo(value))),
      usage: () => far.usage(),
      close: pipes.close,
    };
  },
  serve: () => void new RpcSession(transport(ownPipes()), new Far()),
};
