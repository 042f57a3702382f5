/**
 * Sources that block their thread: what they said before arrives, who asks meanwhile gets an answer in time, and who is behind them is neither taken for dead
 * nor in the way of an end. That the program itself can end is in `gateways_end_test.ts`.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { Group, TimeoutError } from "../gateways/mod.ts";
import type { Channel, Gateway } from "../gateways/mod.ts";
import { assertRejects } from "./support/assert_rejects.ts";
import { inGroup, SOON } from "./support/gateways.ts";
import { condition, isAlive, noLeaks } from "./support/leaks.ts";
import type { RuntimeName } from "./support/runtimes.ts";
import { runtime } from "./support/runtimes.ts";

/** Blocks its thread until there is a file. */
const BLOCKED = `
  const { statSync } = await import("node:fs");
  await channel.send("begun");
  while (!statSync(path, { throwIfNoEntry: false }));
  await channel.send("done");
`;

/** Runs a test with a file that is not there, and its maker. */
async function withSignal(body: (path: string, go: () => void) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/go`;
  const go = () => Deno.writeTextFileSync(path, "");
  try {
    await body(path, go);
  } finally {
    go(); // or who waits for it would spin on
    await Deno.remove(folder, { recursive: true });
  }
}

for (const [name, version] of [["deno"], ["node", "20"], ["node", "26"], ["bun"]] as [RuntimeName, string?][]) {
  Deno.test(
    `what a source sends before it blocks its thread arrives, from ${name} ${version ?? ""} and from behind others`,
    inGroup(async (group) => {
      const { path } = await runtime(name, version);
      const gateways: Gateway[] = [];
      for (const via of [undefined, "gw0", "gw1"]) {
        gateways.push(await group.makeGateway({ runtime: path, ...via === undefined ? {} : { via } }));
      }
      const pids = await Promise.all(gateways.map(async (gateway) => (await gateway.remoteInfo()).pid!));
      // Those behind others first, as nothing gets past a thread that is blocked.
      for (const gateway of gateways.reverse()) {
        const channel = gateway.remoteExec("await channel.send(1); await channel.send(2); for (;;);");
        assertEquals([await channel.receive(SOON), await channel.receive(SOON)], [1, 2]);
      }
      await group.terminate({ timeout: 100 });
      await condition(() => !pids.some(isAlive), "no process is left");
    }),
  );
}

Deno.test(
  "remoteStatus() and remoteInfo() give up in time while a source blocks the thread, and answer when it is over",
  inGroup((group) =>
    withSignal(async (path, go) => {
      const gateway = await group.makeGateway("id=busy");
      const channel = gateway.remoteExec(BLOCKED, { path });
      assertEquals(await channel.receive(SOON), "begun");
      await assertRejects(() => gateway.remoteStatus({ timeout: 10 }), TimeoutError, '"busy" has not answered');
      await assertRejects(() => gateway.remoteInfo({ timeout: 10 }), TimeoutError, "within 10 ms");
      await gateway.reconfigure({ timeout: 20 });
      await assertRejects(() => gateway.remoteStatus(), TimeoutError, "within 20 ms");
      const patient = gateway.remoteStatus(SOON);
      go();
      assertEquals(await channel.receive(SOON), "done");
      assertEquals((await patient).queued, 0);
    })
  ),
);

Deno.test(
  "a gateway behind another one is not taken for dead while one of the two blocks its thread for longer than the timeout",
  inGroup((group) =>
    withSignal(async (path, go) => {
      const carrier = await group.makeGateway("id=carrier");
      // Time runs a hundred times as fast for who would watch the connection that is opened now; a timer that is late says that we were busy ourselves.
      const wait = globalThis.setTimeout;
      let hurry = true;
      globalThis.setTimeout = ((then: () => void, ms: number) =>
        hurry && ms === 15_000
          ? wait(() => {
            hurry = true;
            then();
            hurry = false;
          }, 150)
          : wait(then, ms)) as typeof setTimeout;
      try {
        const carried = await group.makeGateway("via=carrier");
        hurry = false;
        const channels: Channel[] = [];
        for (const gateway of [carried, carrier]) {
          const channel = gateway.remoteExec(BLOCKED, { path });
          assertEquals(await channel.receive(SOON), "begun");
          channels.push(channel);
        }
        // The fourth look without a sign of life would be the last one.
        await new Promise((resolve) => wait(resolve, 1_000));
        go();
        for (const channel of channels) assertEquals(await channel.receive(SOON), "done");
        assert(carried.isAlive);
      } finally {
        globalThis.setTimeout = wait;
      }
    })
  ),
);

Deno.test(
  "terminate() ends gateways that block, and those behind them, and nothing survives",
  noLeaks(async () => {
    const group = new Group();
    for (const [id, via] of [["a"], ["b", "a"], ["c", "b"], ["d", "b"]] as [string, string?][]) {
      await group.makeGateway({ id, ...via === undefined ? {} : { via } });
    }
    const pids = await Promise.all([...group].map(async (gateway) => (await gateway.remoteInfo()).pid!));
    const behind = group.get("d")!.remoteExec("await channel.receive()");
    for (const id of ["c", "b", "a"]) {
      const channel = group.get(id)!.remoteExec("await channel.send(1); for (;;);");
      assertEquals(await channel.receive(SOON), 1);
    }
    const ended = assertRejects(() => behind.receive(SOON), Error, "d");
    await group.terminate({ timeout: 100 });
    await ended;
    assertEquals(group.length, 0);
    await condition(() => !pids.some(isAlive), "no process is left");
  }),
);

Deno.test(
  "await using ends a gateway that blocks behind one that blocks, as soon as that one ends",
  noLeaks(async () => {
    const group = new Group();
    const carrier = await group.makeGateway("id=carrier");
    const carried = await group.makeGateway("via=carrier");
    const pid = (await carried.remoteInfo()).pid!;
    for (const gateway of [carried, carrier]) {
      const channel = gateway.remoteExec("await channel.send(1); for (;;);");
      assertEquals(await channel.receive(SOON), 1);
    }
    await carried[Symbol.asyncDispose]();
    assert(!carried.isAlive && isAlive(pid));
    await group.terminate({ timeout: 100 });
    await condition(() => !isAlive(pid), "it has ended");
  }),
);
