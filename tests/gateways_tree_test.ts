/**
 * Many gateways: how many are opened at a time, trees of them, what these send from where, and how they fail and end.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { GatewayLostError, Group, HostNotFound } from "../gateways/mod.ts";
import type { Gateway } from "../gateways/mod.ts";
import { Turns } from "../gateways/turns.ts";
import { assertRejects } from "./support/assert_rejects.ts";
import { inGroup, SOON } from "./support/gateways.ts";
import { condition, descendants, isAlive, killProcess, noLeaks } from "./support/leaks.ts";

const PID = "channel.send((await import('node:process')).default.pid)";

/** Bytes that left this process for gateways: what goes further went through those that were started from here. */
const bytesSent = (gateways: readonly Gateway[]): number =>
  gateways.filter(({ via }) => !via).reduce((sum, { connection }) => sum + connection.status().bytesSent, 0);

/** Makes one busy for ever: whatever is asked of it later comes too late. */
async function hang(gateway: Gateway): Promise<void> {
  const channel = gateway.remoteExec("await channel.send(1); await channel.receive(); for (;;);");
  await channel.receive(SOON);
  await channel.send(2);
}

const popens = (count: number): string[] => Array.from({ length: count }, () => "popen");

Deno.test("turns are taken in order, so many at a time, and a failure passes its turn on", async () => {
  const turns = new Turns(2);
  const running = new Set<number>(), ends: ((error?: Error) => void)[] = [], began: number[] = [];
  const taken = Array.from({ length: 5 }, (_, i) =>
    turns.take(() => {
      began.push(i);
      running.add(i);
      assert(running.size <= 2);
      return new Promise<number>((resolve, reject) => {
        ends[i] = (error) => {
          running.delete(i);
          if (error) reject(error);
          else resolve(i);
        };
      });
    }));
  assertEquals(began, [0, 1]);
  ends[1]!();
  assertEquals(await taken[1], 1);
  assertEquals(began, [0, 1, 2]);
  ends[0]!(new Error("no"));
  await assertRejects(() => taken[0]!, Error, "no");
  assertEquals(began, [0, 1, 2, 3]);
  ends[2]!();
  ends[3]!();
  assertEquals(await taken[3], 3);
  assertEquals(began, [0, 1, 2, 3, 4]);
  ends[4]!();
  assertEquals(await Promise.all(taken.slice(1)), [1, 2, 3, 4]);
});

Deno.test(
  "each carrier opens gateways in turns of its own",
  inGroup(async (group) => {
    const [slow] = await group.makeGateways(["popen//id=slow", "popen//id=quick"]);
    const hanging = Array.from({ length: 20 }, () => group.makeGateway("command=sleep 1000; exit 1; true//via=slow"));
    const ended = Promise.allSettled(hanging);
    const sleepers = () => descendants().filter(({ command }) => command === "sleep 1000");
    await condition(() => sleepers().length >= 8, "eight are being opened");
    const carried = await group.makeGateway("popen//via=quick");
    assertEquals(await carried.remoteExec("channel.send(1)").receive(SOON), 1);
    assertEquals(sleepers().length, 8, "the others wait");
    const opening = sleepers();
    Deno.kill((await slow!.remoteInfo()).pid!, "SIGKILL");
    for (const { status } of await ended) assertEquals(status, "rejected");
    for (const { pid, parent } of opening) [pid, parent].forEach(killProcess); // they read nothing, and outlive it
  }),
);

Deno.test(
  "tree() opens gateways through gateways",
  inGroup(async (group) => {
    const gateways = await group.tree(popens(7), { fanout: 2 });
    assertEquals(gateways.map(({ via }) => via && gateways.indexOf(via)), [undefined, undefined, 0, 0, 1, 1, 2]);
    assertEquals(gateways.map(({ id }) => id), ["gw0", "gw1", "gw2", "gw3", "gw4", "gw5", "gw6"]);
    assertEquals([...group], gateways, "in their order, whichever was opened first");
    const pids = await group.remoteExec(PID).receiveEach(false, SOON) as number[];
    assertEquals(new Set(pids).size, 7);
    await group.terminate({ timeout: 10_000 });
    assert(!pids.some(isAlive));
  }),
);

Deno.test(
  "tree() sends across to the first gateways only: the others get it from these",
  noLeaks(async () => {
    const flat = new Group(), group = new Group();
    const [one] = await flat.tree(popens(2), { fanout: 1 });
    assertEquals(await one!.remoteExec(PID).receive(SOON) as number > 0, true);
    const whole = bytesSent([one!]); // of a gateway that has another one behind it
    await flat.terminate({ timeout: 10_000 });
    assert(whole > 50_000, `${whole} bytes for one carrier`);
    const gateways = await group.tree(popens(14), { fanout: 2 });
    await group.remoteExec(PID).receiveEach(false, SOON);
    const all = bytesSent(gateways);
    // Two times everything, and for the twelve others what is said to them, each time with what lanes add at two carriers.
    assert(all > 2 * whole && all < 2 * whole + 12 * 2_500, `${all} bytes for 14 gateways, ${whole} for one carrier`);
    for (const { via, connection } of gateways) {
      if (via) assert(connection.status().bytesSent < 2_500, `${connection.status().bytesSent} bytes for one behind`);
    }
    await group.terminate({ timeout: 10_000 });
  }),
);

Deno.test(
  "tree() tells which gateway did not open, and through which, and leaves nothing",
  inGroup(async (group) => {
    const path = 'Cannot open gateway "d" via "c" via "b" via "a": ';
    const chain = (last: string) =>
      group.tree(["popen//id=a", "popen//id=b", "popen//id=c", `${last}//id=d`, "popen"], { fanout: 1 });
    await assertRejects(() => chain("command=exit 7"), Error, `${path}Command "sh" exited with status 7`);
    await assertRejects(() => chain("socket=127.0.0.1:1"), HostNotFound, `${path}Cannot reach 127.0.0.1:1`);
    await assertRejects(() => group.tree(["command=exit 9", ...popens(5)], { fanout: 1 }), Error, "status 9");
    await assertRejects(() => group.tree(["popen", "via=gw0"]), TypeError, '"via"');
    await assertRejects(() => group.tree([], { fanout: 0 }), RangeError, "fanout");
    assertEquals(await group.tree([]), []);
    assertEquals(group.length, 0);
    assertEquals(descendants().map(({ command }) => command), []);
  }),
);

Deno.test(
  "a carrier that is killed while a tree grows: tree() rejects, and leaves nothing",
  inGroup(async (group) => {
    const growing = group.tree(["popen//id=first", "command=sleep 1000; exit 1; true", ...popens(4)], { fanout: 1 });
    const rejected = assertRejects(() => growing, Error, 'via "first"');
    const sleeper = await condition(
      () => descendants().find(({ command }) => command === "sleep 1000"),
      "the second one is being opened",
    );
    Deno.kill((await group.get("first")!.remoteInfo()).pid!, "SIGKILL");
    await rejected;
    assertEquals(group.length, 0);
    killProcess(sleeper.pid);
  }),
);

Deno.test(
  "a carrier of a tree that is killed takes its branch along, whose errors name the path, and nothing else",
  inGroup(async (group) => {
    const gateways = await group.tree(Array.from({ length: 7 }, (_, i) => `popen//id=${i}`), { fanout: 2 });
    const waiting = gateways.map((gateway) => gateway.remoteExec("await channel.receive()"));
    const pid = (await gateways[0]!.remoteInfo()).pid!;
    Deno.kill(pid, "SIGKILL");
    const lost = (i: number, name: string) => assertRejects(() => waiting[i]!.receive(SOON), GatewayLostError, name);
    await lost(0, 'Gateway "0" was lost');
    await lost(2, 'Gateway "2" (via "0") was lost');
    await lost(3, 'Gateway "3" (via "0") was lost');
    await lost(6, 'Gateway "6" (via "2" via "0") was lost');
    await condition(() => group.length === 3, "the branch has left");
    assertEquals([...group].map(({ id }) => id), ["1", "4", "5"]);
    assertEquals(await gateways[5]!.remoteExec("channel.send(1)").receive(SOON), 1);
  }),
);

Deno.test(
  "terminate() ends what is behind carriers before these, and asks all others at once",
  noLeaks(async () => {
    const group = new Group();
    const gateways = await group.tree(Array.from({ length: 7 }, (_, i) => `popen//id=${i}`), { fanout: 2 });
    const pids = await group.remoteExec(PID).receiveEach(false, SOON) as number[];
    // The last one, behind 2, which is behind 0, has no time.
    await hang(gateways[6]!);
    const over: string[] = [];
    for (const gateway of gateways) void gateway.join().then(() => over.push(gateway.id));
    const terminated = group.terminate();
    await condition(() => over.length === 4, "those that nothing hangs behind have ended");
    assertEquals(over.toSorted(), ["1", "3", "4", "5"]);
    assertEquals(over.at(-1), "1", "a carrier is the last one");
    assertEquals([0, 2, 6].filter((i) => !isAlive(pids[i]!)), [], "what carries it waits");
    Deno.kill(pids[6]!, "SIGKILL");
    await terminated;
    assertEquals(over.slice(4), ["6", "2", "0"]);
    assert(!pids.some(isAlive));
  }),
);

Deno.test(
  "terminate() with a timeout kills a branch that hangs, and its carriers",
  noLeaks(async () => {
    const group = new Group();
    const gateways = await group.tree(popens(4), { fanout: 1 });
    const pids = await group.remoteExec(PID).receiveEach(false, SOON) as number[];
    for (const i of [3, 1]) await hang(gateways[i]!);
    const started = performance.now();
    await group.terminate({ timeout: 200 });
    // Not after the minute in which their silence is found: a carrier that hangs cannot tell how those behind it ended.
    assert(performance.now() - started < 30_000);
    assertEquals(group.length, 0);
    await condition(() => !pids.some(isAlive), "no process is left");
  }),
);

Deno.test(
  "terminate() while a tree grows: tree() rejects, and nothing is left",
  inGroup(async (group) => {
    const growing = group.tree(popens(12), { fanout: 2 });
    const rejected = assertRejects(() => growing, Error);
    await condition(() => group.length >= 2, "the first ones are there");
    await group.terminate({ timeout: 10_000 });
    await rejected;
    assertEquals(group.length, 0);
    await condition(() => descendants().length === 0, "no process is left");
  }),
);

Deno.test(
  "sixty-four gateways open, answer, and end",
  noLeaks(async () => {
    const group = new Group();
    await group.makeGateways(popens(64));
    const pids = await group.remoteExec(PID).receiveEach(false, { timeout: 120_000 }) as number[];
    assertEquals(new Set(pids).size, 64);
    await group.terminate({ timeout: 60_000 });
    assert(!pids.some(isAlive));
  }, 400_000),
);
