// Served objects: the operations on their faces, in another process, in a worker, and within one process. Faults are in objects_faults_test.ts.

import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { inspect } from "node:util";
import type { Remote } from "../mod.ts";
import { copy, del, DisconnectError, has, isProxy, keep, set } from "../mod.ts";
import { get, passTo, Served, spawn, superOf } from "../objects/mod.ts";
import {
  count,
  countByHand,
  Counter,
  EagerCounter,
  later,
  LoudCounter,
  serve,
  serveAlone,
  serveByHand,
  serveEager,
  serveOwn,
} from "./fixtures/objects/counter.ts";
import { condition, noLeaks } from "./support/leaks.ts";
import { testEachPlace } from "./support/objects.ts";

/** What holds for a face, wherever its object is. */
async function operations(face: Remote<Counter>, elsewhere: boolean): Promise<void> {
  assertEquals(await face.toggle(), true);
  assertEquals(await face.on, true);
  await set(face, "count", 5);
  assertEquals(await face.count, 5);
  assertEquals(await face.add(1).add(2).describe(), "a counter at 8");
  assertEquals(await face.list(), { items: [1, 2, 3] });
  assertEquals(await face.list().items.length, 3);
  assertEquals(await face.names.length, 2);
  assertEquals(await face.names[1]!, "b");
  await set(face.names, 1, "c");
  assertEquals(await copy(face.names), ["a", "c"]);
  assertEquals(await has(face, "count"), true);
  assertEquals(await has(face, "missing" as never), false);
  assertEquals(await has(face.names, 2), false);
  await face.names.push("d");
  assertEquals(await has(face.names, 2), true);
  assertEquals(await del(face.names, 2), true);
  assertEquals(await has(face.names, 2), false);
  assertEquals(await face.places.get("one"), 1);
  assertEquals(await face.places.size, 1);
  assertEquals(await face.later(3), 3);

  const items: number[] = [];
  for await (const n of face.upTo(3)) items.push(n);
  assertEquals(items, [0, 1, 2]);
  const names: string[] = [];
  for await (const name of face.names) {
    names.push(name);
    break;
  }
  assertEquals(names, ["a"]);

  assertEquals(await get(face.count), 8);
  assertEquals(await get(face.count, 1), 8);
  assertEquals(await get(face.places.get("two"), 7), 7);
  assertEquals(await get(face.add(0).count, 1), 8);
  await assertRejects(() => get(face.fail("of its own"), 1), RangeError, "of its own");

  assertEquals(
    await passTo(face, (counter, n: number) => (counter.count += n) && counter.describe(), 2),
    "a counter at 10",
  );
  assertEquals(await passTo(face.names, (names) => names.join("")), "ac");
  assertEquals(await passTo(face.list().items, (items) => items.at(-1)), 3);

  const list = await keep(face.list());
  assert(isProxy(list));
  assertEquals(await list.items[0]!, 1);
  const itself = await face.add(0);
  assert(isProxy(itself));
  assert(itself === face as unknown);
  assertEquals(await itself.count, 10);

  const error = await assertRejects(async () => await face.fail("on purpose"), RangeError, "on purpose");
  if (elsewhere) assertMatch(error.stack!, /objects_served_test\.ts[^]*\nBelow lines obtained from host/);
  assertStringIncludes(error.stack!, "counter.ts");

  for (const name of ["_secret", "constructor", "__proto__"]) {
    // deno-lint-ignore no-explicit-any -- what the types do not allow
    assertEquals((face as any)[name], undefined);
    await assertRejects(() => set(face, name as never, 1 as never), Error, "not public");
  }
  assertEquals(Deno.inspect(face), "Remote <Counter>");
  assertEquals(`${face}`, "Remote <Counter>");
}

await testEachPlace("operations on the face of an object elsewhere", async (options) => {
  const counter = new Counter();
  await using p = spawn.with(options)(serve, counter);
  await counter.remote.untilListening();
  assert(counter.remote.listening);
  await operations(counter.remote.face, true);
  assertEquals([counter.count, counter.on, counter.names], [0, false, ["a", "b"]]);
  await set(counter.remote.face, "stop", true);
  await p.join();
  assert(!counter.remote.listening);
});

Deno.test(
  "operations on the face of an object in the same process",
  noLeaks(async () => {
    const counter = new Counter();
    await operations(counter.remote.face, false);
    assertEquals(counter.count, 10);
    const names = await counter.remote.face.names;
    assert(names === counter.names as unknown, "it is the object itself");
    using _listening = counter.remote.listen({ background: false });
    assertEquals(await counter.remote.face.count, 10, "without waiting for the owner");
  }),
);

await testEachPlace("a chain takes one round trip", async (options) => {
  const counter = new Counter();
  await using p = spawn.with(options)(serve, counter);
  await counter.remote.untilListening();
  const { face } = counter.remote;
  await face.count;
  const received = async (): Promise<number> => {
    const before = p.connection.status();
    assertEquals(await face.add(1).add(2).list().items[0]!, 1);
    return p.connection.status().messagesReceived - before.messagesReceived;
  };
  // One answer. The word that a process has another thread may come meanwhile, once.
  assertEquals(Math.min(await received(), await received()), 1);
  await set(face, "stop", true);
});

await testEachPlace("superOf() gives what the class of an object overrides", async (options) => {
  const counter = new LoudCounter();
  assertEquals(await superOf(counter.remote.face as Remote<Counter>).describe(), "a counter at 0");
  await using _p = spawn.with(options)(serve, counter as Counter);
  await counter.remote.untilListening();
  const { face } = counter.remote;
  await face.add(3);
  assertEquals(await face.describe(), "A COUNTER AT 3");
  assertEquals(await superOf(face).describe(), "a counter at 3");
  assertEquals(await superOf(face).add(1).count, 4);
  await set(face, "stop", true);
});

await testEachPlace("the counter counts while it is on", async (options) => {
  const counter = new Counter();
  await using p = spawn.with(options)(count, counter);
  await counter.remote.untilListening();
  const { face } = counter.remote;
  await face.toggle();
  const before = await face.count;
  await condition(async () => await face.count > before, "the count goes up");
  await face.toggle();
  const still = await face.count;
  assertEquals([await face.count, await face.count], [still, still]);
  await set(face, "stop", true);
  assertEquals(await p.result, still);
});

await testEachPlace("with background: false, nothing changes within a step of the owner", async (options) => {
  const counter = new Counter();
  await using p = spawn.with(options)(countByHand, counter);
  await counter.remote.untilListening();
  const { face } = counter.remote;
  await face.toggle();
  await Promise.all(Array.from({ length: 50 }, async (_, n) => {
    await face.add(n);
    await face.add(1).add(1).later(n);
    await passTo(face, (counter) => counter.count++);
  }));
  assert(await face.steps > 0);
  await set(face, "stop", true);
  const { disturbed, steps } = await p.result;
  assertEquals(disturbed, 0);
  assert(steps > 0);
});

await testEachPlace("a Served alone is an argument, too", async (options) => {
  const served = new Served<{ readonly total: number; stop?: boolean }>({ total: 5 });
  assertEquals(await served.face.total, 5);
  await using _p = spawn.with(options)(serveAlone, served);
  await served.untilListening();
  await passTo(served.face, (it: { total: number }) => it.total++);
  assertEquals(await served.face.total, 6);
  await set(served.face, "stop", true);
});

await testEachPlace("served() gives what a process made itself", async (options) => {
  await using p = spawn.with(options)(serveOwn);
  assertEquals(await p.served<Counter>().add(2).count, 2);
  const face = await p.served<Counter>();
  assertEquals(await face.add(1).count, 3);
  assertEquals(Deno.inspect(face), "Remote <Counter>");
  await set(face, "stop", true);
  assertEquals(await p.result, 3);
});

await testEachPlace("with eagerProxy, calls give proxies of objects", async (options) => {
  const counter = new EagerCounter();
  assert(isProxy(await counter.eager.face.list()));
  await using _p = spawn.with(options)(serveEager, counter);
  await counter.eager.untilListening();
  const { face } = counter.eager;
  const list: unknown = await face.list();
  assert(isProxy(list));
  assertEquals(await (list as Remote<{ items: number[] }>).items, [1, 2, 3]);
  assertEquals(await face.describe(), "a counter at 0");
  await set(face, "stop", true);
});

await testEachPlace("arguments and results of operations come home as what they are", async (options) => {
  const counter = new Counter();
  await using _p = spawn.with(options)(serve, counter);
  await counter.remote.untilListening();
  const { face } = counter.remote;
  const list = await keep(face.names);
  const same = (counter: Counter, list: string[]): boolean => counter.names === list;
  assert(await passTo(face, same as never, list as never));
  assert(await passTo(face, same as never, face.names as never));
  await set(face, "stop", true);
});

for (const byHand of [false, true]) {
  const how = byHand ? "by hand" : "background";
  await testEachPlace(`passTo() and superOf() go on from results that nobody waited for [${how}]`, async (options) => {
    const counter: Counter = new LoudCounter();
    await using _p = spawn.with(options)(byHand ? serveByHand : serve, counter);
    await counter.remote.untilListening();
    const { face } = counter.remote;
    assertEquals(await passTo(face.add(1), (it, n: number) => it.count + n, 10), 11);
    assertEquals(await passTo(face.add(1).names, (names) => names.length), 2);
    assertEquals(await passTo(await keep(face.names), (names) => names[0]), "a");
    assertEquals(await passTo(face, (it, other: unknown) => it === other, face as never), true);
    assertEquals(await superOf(face.add(1)).describe(), "a counter at 3");
    assertEquals(await superOf(face).add(1).describe(), "A COUNTER AT 4", "which is the object itself again");
    assertEquals(await superOf(face.add(0).add(0)).title, "counter");
    assertEquals(await face.title, "COUNTER");
    await assertRejects(() => passTo(face.add(0), () => JSON.parse("{")), SyntaxError);
    await assertRejects(async () => await superOf(face).fail("of its own"), RangeError, "of its own");
    await set(face, "stop", true);
  });
}

await testEachPlace("proxies say what they are without asking the other side", async (options) => {
  const counter = new Counter();
  await using p = spawn.with(options)(serve, counter);
  await counter.remote.untilListening();
  const { face } = counter.remote;
  const [names, object, other] = [await keep(face.names), await keep(face.list()), await superOf(face)];
  await condition(() => p.connection.status().callsInFlight === 0, "it is quiet");
  const before = p.connection.status().messagesSent;
  for (
    const [proxy, text] of [
      [face, "Remote <Counter>"],
      [names, "Remote <Array>"],
      [object, "Remote <Object>"],
      [other, "Remote <Object>"],
      [p.connection.root(), "Remote <root>"],
    ] as const
  ) {
    assertEquals([Deno.inspect(proxy), `${proxy}`, inspect(proxy)], [text, text, text]);
    assertEquals(Deno.inspect({ proxy }), `{ proxy: ${text} }`);
  }
  assertEquals([`${face.names}`, `${face.names.length}`], ["Remote <Counter.names>", "Remote <Counter.names.length>"]);
  assertEquals(p.connection.status().messagesSent, before);
  await set(face, "stop", true);
});

Deno.test("to look at a Served, or to clone it, is not to send it", async () => {
  const counter = new Counter();
  Deno.inspect(counter, { depth: 10 });
  JSON.stringify({ ...counter.remote, target: null });
  structuredClone({ ...counter.remote, target: null });
  assertEquals(await counter.remote.face.count, 0);
});

await testEachPlace("served() rejects when the process ends without serving anything", async (options) => {
  await using p = spawn.with(options)(later);
  await assertRejects(async () => await p.served<Counter>(), DisconnectError);
  assertEquals(await p.result, "later");
});

Deno.test("several may wait for the operations of an object", async () => {
  const served = new Served({ n: 1 });
  await assertRejects(() => served.processRequests(), Error, "listen({ background: false })");
  served.listen({ background: false });
  const waiting = [served.processRequests({ timeout: Infinity }), served.processRequests({ timeout: 1 })];
  assertEquals(await waiting[1], 0);
  served.stop();
  assertEquals(await waiting[0], 0);
  assertThrows(() => [served.listen(), served.listen()], Error, "listen twice");
});
