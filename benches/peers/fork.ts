/**
 * The IPC that Node has built in, `child_process.fork` with `serialization: "advanced"` (structured clone); in Deno its imitation.
 *
 * @module
 */

// deno-lint-ignore-file no-explicit-any -- messages of any kind

import { selfCommand } from "../support/pipes.ts";
import { rawPeer } from "../support/raw_peer.ts";
import type { Contender } from "./contender.ts";
import { later } from "./contender.ts";

/** `fork` IPC. */
export const fork: Contender = {
  name: "fork IPC",
  async start(latency) {
    const { fork } = await import("node:child_process");
    const [, ...args] = selfCommand("serve", this.name);
    const at = args.indexOf("serve");
    const child = fork(args[at - 1]!, args.slice(at), { serialization: "advanced" });
    const exit = new Promise((resolve) => child.on("exit", resolve));
    const { take, ...peer } = rawPeer(later(latency, (message: any) => void child.send(message)));
    child.on("message", later(latency, take as (message: any) => void));
    return {
      ...peer,
      close() {
        child.disconnect();
        return exit;
      },
    };
  },
  async serve() {
    const { default: process } = await import("node:process");
    const { take } = rawPeer((message) => void (process as any).send(message));
    process.on("message", take as (message: any) => void);
    process.on("disconnect", () => process.exit());
  },
};
