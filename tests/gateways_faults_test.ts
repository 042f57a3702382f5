/**
 * Gateways that are killed, in each state: everybody who waits is told, and nothing is left.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { EndOfChannelError, GatewayLostError, Group } from "../gateways/mod.ts";
import type { Gateway } from "../gateways/mod.ts";
import { assertRejects } from "./support/assert_rejects.ts";
import { inGroup, SOON } from "./support/gateways.ts";
import { condition, descendants, isAlive, killProcess, noLeaks } from "./support/leaks.ts";

async function kill(gateway: Gateway): Promise<void> {
  Deno.kill((await gateway.remoteInfo()).pid!, "SIGKILL");
}

Deno.test(
  "a gateway that is killed while sources run: every waiter is told how it ended",
  inGroup(async (group) => {
    const gateway = await group.makeGateway("id=victim");
    const idle = gateway.remoteExec("await channel.send('kept'); await channel.receive(); await channel.receive()");
    const full = gateway.remoteExec("await new Promise(() => {})");
    const callback = gateway.remoteExec("await channel.receive()");
    const ended: unknown[] = [];
    callback.setCallback((item) => ended.push(item), { endMarker: "end" });
    const fresh = gateway.newChannel();
    await idle.send({ fresh });
    await condition(async () => (await gateway.remoteStatus()).executing === 3, "three wait");
    const sends = Array.from({ length: 300 }, (_, i) => full.send(new Uint8Array(50_000).fill(i)));
    const settled = Promise.allSettled(sends);
    const waiting = assertRejects(() => full.receive(), GatewayLostError, "SIGKILL");
    const closing = assertRejects(() => full.waitClose(), GatewayLostError, "victim");
    await kill(gateway);
    const error = await waiting;
    assertEquals([error.signal, error.code], ["SIGKILL", undefined]);
    await closing;
    const results = await settled;
    assert(results.some(({ status }) => status === "rejected"), "not all had room");
    for (const it of results) if (it.status === "rejected") assert(it.reason instanceof GatewayLostError, it.reason);
    await condition(() => ended.length === 1, "the callback is told");
    assertEquals(await idle.receive(), "kept");
    await assertRejects(() => idle.receive(), GatewayLostError);
    await assertRejects(() => idle.send(1), GatewayLostError);
    await assertRejects(() => gateway.remoteExec("1").receive(), GatewayLostError);
    await assertRejects(() => gateway.remoteStatus(), GatewayLostError);
    await assertRejects(() => gateway.reconfigure({ maxConcurrency: 2 }), GatewayLostError);
    assert(!gateway.isAlive);
    await gateway.join();
    await condition(() => !group.has("victim"), "it has left the group");
  }),
);

Deno.test(
  "a source that ends its process: the exit code is told",
  inGroup(async (group) => {
    const gateway = await group.makeGateway();
    const channel = gateway.remoteExec("(await import('node:process')).default.exit(7)");
    const error = await assertRejects(() => channel.receive(SOON), GatewayLostError, "status 7");
    assertEquals([error.code, error.signal], [7, undefined]);
  }),
);

Deno.test(
  "a gateway that is killed while it starts: makeGateway() rejects, and nothing is left",
  noLeaks(async () => {
    const group = new Group();
    const opening = group.makeGateway("command=sleep 1000; exit 1; true");
    const rejected = assertRejects(() => opening, Error, "SIG");
    const sleeper = await condition(
      () => descendants().find(({ command }) => command === "sleep 1000"),
      "it has begun",
    );
    for (const { pid } of descendants()) if (pid !== sleeper.pid) killProcess(pid);
    killProcess(sleeper.pid);
    await rejected;
    assertEquals(group.length, 0);
  }),
);

Deno.test(
  "an interpreter that is killed before it has begun, or with half of across: makeGateway() rejects, and nothing is left",
  noLeaks(async () => {
    const group = new Group();
    // The first one has not said a word, the second one has been sent all that it needs, and says nothing more.
    for (
      const command of [`sh -c 'kill -STOP $$; exec "$@"' sh {}`, `printf '~across1 node v24.0.0~'; exec sleep 1001; :`]
    ) {
      const opening = group.makeGateway({ command });
      const rejected = assertRejects(() => opening, Error, "before the handshake");
      const { pid } = await condition(
        () => descendants().find(({ command, state }) => state === "T" || command === "sleep 1001"),
        "it has begun",
      );
      killProcess(pid);
      for (const { pid } of descendants()) killProcess(pid);
      await rejected;
    }
    assertEquals(group.length, 0);
    await group.terminate();
  }),
);

Deno.test(
  "terminate() leaves no process of gateways that were killed as they sent, carried, and computed",
  noLeaks(async () => {
    const group = new Group();
    const carrier = await group.makeGateway("id=carrier");
    const carried = await group.makeGateway("via=carrier//id=carried");
    const further = await group.makeGateway("via=carried//id=further");
    const sender = await group.makeGateway("id=sender");
    const pids = await Promise.all([...group].map(async (gateway) => (await gateway.remoteInfo()).pid!));
    const sent = sender.remoteExec("for (;;) await channel.send(new Uint8Array(100_000))");
    assertEquals((await sent.receive<Uint8Array>(SOON)).length, 100_000);
    const computing = further.remoteExec("await channel.send(1); await new Promise((go) => setTimeout(go)); for (;;);");
    assertEquals(await computing.receive(SOON), 1);
    const waiting = [
      assertRejects(() => computing.receive(SOON), GatewayLostError),
      assertRejects(
        async () => {
          for (;;) await sent.receive(SOON);
        },
        GatewayLostError,
        "SIGKILL",
      ),
    ];
    await kill(sender);
    await kill(carrier);
    await Promise.all(waiting);
    await group.terminate({ timeout: 1_000 });
    await condition(() => !pids.some(isAlive), "no process is left");
    assert(!carried.isAlive && group.length === 0);
  }),
);

Deno.test(
  "a carrier that is killed takes those behind it along, and their waiters are told",
  inGroup(async (group) => {
    const carrier = await group.makeGateway("id=carrier");
    const carried = await group.makeGateway("via=carrier//id=carried");
    const further = await group.makeGateway("via=carried//id=further");
    const waiting = [carrier, carried, further].map((gateway) =>
      assertRejects(() => gateway.remoteExec("await channel.receive()").receive(SOON), GatewayLostError)
    );
    await kill(carrier);
    await Promise.all(waiting);
    await condition(() => group.length === 0, "all have left");
  }),
);

Deno.test(
  "a gateway behind a carrier that is killed: how it ended is told, and the carrier lives",
  inGroup(async (group) => {
    const carrier = await group.makeGateway("id=carrier");
    const carried = await group.makeGateway("via=carrier");
    const waiting = assertRejects(() => carried.remoteExec("await channel.receive()").receive(SOON), GatewayLostError);
    await kill(carried);
    assertEquals((await waiting).signal, "SIGKILL");
    assertEquals(await carrier.remoteExec("channel.send(1)").receive(SOON), 1);
  }),
);

Deno.test(
  "exit() is an end and no loss",
  inGroup(async (group) => {
    const gateway = await group.makeGateway();
    const channel = gateway.remoteExec("await channel.receive()");
    await condition(async () => (await gateway.remoteStatus()).executing === 1, "it runs");
    const waiting = assertRejects(() => channel.receive(SOON), EndOfChannelError);
    gateway.exit();
    assert(!gateway.isAlive);
    await waiting;
    await gateway.join(SOON);
    gateway.exit();
    await gateway.join();
  }),
);

Deno.test(
  "two gateways that are joined by a channel: when one is lost, the other is told",
  inGroup(async (group) => {
    const [a, b] = await group.makeGateways(["popen", "popen"]);
    const left = a!.remoteExec("const it = await channel.receive(); await it.receive(); it.close()");
    const right = b!.remoteExec(`
      const it = await channel.receive();
      await it.send(1);
      await channel.send("begun");
      await channel.send(await it.receive().then(() => "item", (error) => error.name));
    `);
    const between = a!.newChannel();
    await left.send(between);
    await right.send(between);
    assertEquals(await right.receive(SOON), "begun");
    await left.waitClose(SOON);
    assertEquals(await right.receive(SOON), "EndOfChannelError");
    const third = a!.newChannel();
    const source = "const it = await channel.receive(); await channel.send('begun'); await it.receive()";
    const here = a!.remoteExec(source);
    const there = b!.remoteExec(`
      const it = await channel.receive();
      await channel.send(await it.receive().then(() => "item", (error) => error.name));
    `);
    await here.send(third);
    assertEquals(await here.receive(SOON), "begun");
    await there.send(third);
    await kill(a!);
    assertEquals(await there.receive(SOON), "GatewayLostError");
  }),
);
