/**
 * Comlink twice: over stdio by an adapter, as lines of JSON, to compare what it does with the same means; and where it is at home, over the port of a
 * thread (`node:worker_threads`, in Deno its imitation), with structured clone and ports as callbacks.
 *
 * @module
 */

// deno-lint-ignore-file no-explicit-any -- ports of two runtimes

import type { Endpoint, Remote } from "npm:comlink@4.4.2";
import { expose, proxy, wrap } from "npm:comlink@4.4.2";
import * as adapter from "npm:comlink@4.4.2/dist/esm/node-adapter.mjs";
import { linesOver, ownPipes, selfCommand } from "../support/pipes.ts";
import type { Pipes } from "../support/pipes.ts";
import type { Contender, Peer, Usage } from "./contender.ts";
import { inSteps, later, loop, service, startServing } from "./contender.ts";

// Its types have no default export, which the module has.
const { default: nodeEndpoint } = adapter as unknown as { default: (port: any) => Endpoint };

type Near = { back(value: number): number };
type Far = { echo(value: unknown): unknown; loop(count: number): Promise<void>; usage(): Promise<Usage> };
type Thread = Omit<Far, "loop"> & { loop(back: (value: number) => unknown, count: number): Promise<void> };

/** What comlink wants of a port, over lines. */
function endpoint(pipes: Pipes): Endpoint {
  const lines = linesOver(pipes);
  const listeners = new Set<(event: any) => void>();
  lines.receive((line) => {
    const event = { data: JSON.parse(line) };
    for (const listener of listeners) listener(event);
  });
  return {
    postMessage: (message) => lines.send(JSON.stringify(message)),
    addEventListener: (_, listener) => void listeners.add(listener as any),
    removeEventListener: (_, listener) => void listeners.delete(listener as any),
  };
}

function steps({ echo, usage }: Remote<Far> | Remote<Thread>): Pick<Peer, "call" | "chain" | "usage"> {
  const call = (value: unknown) => echo(value) as Promise<unknown>;
  return { call, chain: (value) => inSteps(call, value), usage: () => usage() };
}

/** Comlink over stdio. */
export const comlink: Contender = {
  name: "comlink",
  textOnly: true,
  async start(latency) {
    const pipes = await startServing(this.name, latency);
    const port = endpoint(pipes);
    expose({ back: (value: number) => value } satisfies Near, port);
    const far = wrap<Far>(port);
    return { ...steps(far), callBack: (count) => far.loop(count), close: pipes.close };
  },
  serve() {
    const port = endpoint(ownPipes());
    const near = wrap<Near>(port);
    expose({ ...service, loop: (count: number) => loop((value) => near.back(value), count) } satisfies Far, port);
  },
};

/** Comlink over the port of a thread. */
export const comlinkThread: Contender = {
  name: "comlink, thread",
  thread: true,
  async start(latency) {
    const { Worker } = await import("node:worker_threads");
    const command = selfCommand("serve", this.name);
    const at = command.indexOf("serve");
    const worker = new Worker(command[at - 1]!, { argv: command.slice(at) });
    const port: Endpoint = nodeEndpoint(worker);
    const far = wrap<Thread>({
      ...port,
      postMessage: (message, transfer = []) => {
        if (latency > 0) setTimeout(() => port.postMessage(message, transfer), latency);
        else port.postMessage(message, transfer);
      },
      addEventListener: (type, listener) => port.addEventListener(type, later(latency, listener as any) as never),
    });
    return {
      ...steps(far),
      callBack: (count) => far.loop(proxy((value: number) => value), count),
      close: () => worker.terminate(),
    };
  },
  async serve() {
    const { parentPort } = await import("node:worker_threads");
    expose({ ...service, loop } satisfies Thread, nodeEndpoint(parentPort));
  },
};
