/**
 * Calls under a signal or a deadline: between two connections in this process, and on real interpreters. Signals that are passed are in
 * `signals_test.ts`.
 *
 * @module
 */

import { assert, assertEquals, assertInstanceOf, assertStrictEquals, assertThrows } from "@std/assert";
import type { Remote } from "../mod.ts";
import { biosCommand, CallScope, Connection, getCallSignal, OperationError, ref } from "../mod.ts";
import { assertRejects } from "./support/assert_rejects.ts";
import { countListeners } from "./support/listeners.ts";
import { collectGarbage } from "./support/garbage.ts";
import { condition } from "./support/leaks.ts";
import { inPair, pipes } from "./support/pair.ts";
import { onRemote } from "./support/remote.ts";
import { testEachRuntime } from "./support/runtimes.ts";

/** What functions that travel by source find in this process, where both ends of a pair are. */
const shared = globalThis as unknown as { cancellation: { getCallSignal: typeof getCallSignal; seen: unknown[] } };
shared.cancellation = { getCallSignal, seen: [] };

/** Runs until it is cancelled, and notes why. */
async function untilCancelled(): Promise<never> {
  const { getCallSignal, seen } = (globalThis as unknown as typeof shared).cancellation;
  const signal = getCallSignal();
  seen.push("started");
  await new Promise((resolve) => signal.addEventListener("abort", resolve));
  seen.push(signal.reason);
  throw signal.reason;
}

const never = () => new Promise<void>(() => {});

Deno.test("a call under a signal rejects at once with its reason, and getCallSignal() is aborted with it over there", () =>
  inPair(async ({ left, right }) => {
    const { seen } = shared.cancellation;
    seen.length = 0;
    const { controller, listeners } = countListeners();
    const call = left.with({ signal: controller.signal }).call(untilCancelled);
    const told = call.catch((error: unknown) => error);
    await condition(() => seen.length === 1, "it runs");
    assertEquals([left.status().callsInFlight, right.status().callsRunning, listeners()], [1, 1, 1]);
    const reason = new RangeError("enough");
    controller.abort(reason);
    assertEquals(left.status().callsInFlight, 0, "nothing is waited for");
    assertStrictEquals(await told, reason);
    await condition(() => seen.length === 2, "it is told");
    assertInstanceOf(seen[1], RangeError);
    assertEquals((seen[1] as Error).message, "enough");
  }));

Deno.test("a reason that cannot travel arrives as an AbortError", () =>
  inPair(async ({ left }) => {
    const { seen } = shared.cancellation;
    seen.length = 0;
    const controller = new AbortController();
    const call = left.with({ signal: controller.signal }).call(untilCancelled);
    const told = call.catch((error: unknown) => error);
    await condition(() => seen.length === 1, "it runs");
    const reason = { cannot: new WeakMap() };
    controller.abort(reason);
    assertStrictEquals(await told, reason);
    await condition(() => seen.length === 2, "it is told");
    assertInstanceOf(seen[1], DOMException);
    assertEquals((seen[1] as Error).name, "AbortError");
  }));

Deno.test("a deadline rejects with a TimeoutError and cancels, and does nothing to a call that is in time", () =>
  inPair(async ({ left, right }) => {
    const { seen } = shared.cancellation;
    seen.length = 0;
    const error = await assertRejects(() => left.with({ timeout: 30 }).call(untilCancelled), DOMException, "30 ms");
    assertEquals(error.name, "TimeoutError");
    await condition(() => seen.length === 2, "it is told");
    assertEquals((seen[1] as Error).name, "TimeoutError");
    assertEquals(await left.with({ timeout: 60_000 }).call((n: number) => n, 1), 1);
    assertEquals(await left.with({ timeout: Infinity }).call((n: number) => n, 2), 2);
    assertEquals(await left.with({}).call((n: number) => n, 3), 3);
    await condition(() => right.status().callsRunning === 0, "nothing runs");
  }));

Deno.test("a deadline counts from when the call is issued, also where the peer never answers the handshake", async () => {
  const conn = Connection.fromPipes(new ReadableStream<Uint8Array>(), new WritableStream<Uint8Array>());
  await assertRejects(() => conn.with({ timeout: 20 }).call(() => 1), DOMException, "20 ms");
  conn.cancel();
  await conn.close();
});

Deno.test("a signal that is aborted already sends nothing", () =>
  inPair(async ({ left }) => {
    const scope = left.with({ signal: AbortSignal.abort(new RangeError("before")) });
    using there = await left.callRef(() => ({ n: 1 }));
    const { messagesSent } = left.status();
    for (
      const attempt of [
        () => scope.call(() => 1),
        () => scope.callRef(() => ({})),
        () => scope.replicate({}),
        () => scope.execute("1"),
        () => scope.import("node:path"),
        () => scope.root<{ n: number }>().n,
        () => scope.on(there).n,
        () => scope.callRef(() => ({ a: { b: 1 } })).a.b,
      ]
    ) await assertRejects(attempt, RangeError, "before");
    assertEquals(left.status().messagesSent, messagesSent);
  }));

Deno.test("a call that is cancelled before it left is not carried out", () =>
  inPair(async ({ left }) => {
    const done: number[] = [];
    const controller = new AbortController();
    const scope = left.with({ signal: controller.signal });
    const note = (n: number) => Promise.resolve(void done.push(n));
    const run = async (note: (n: number) => Promise<void>, n: number) => await note(n);
    const large = async (note: (n: number) => Promise<void>, bytes: Uint8Array) => await note(bytes.length);
    const calls = [scope.call(run, note, 1), scope.call(large, note, new Uint8Array(1 << 20))];
    const outcomes = Promise.allSettled(calls);
    controller.abort();
    assert((await outcomes).every((it) => it.status === "rejected" && it.reason.name === "AbortError"));
    await left.call(run, note, 2);
    assertEquals(done, [2]);
  }));

Deno.test("a large call that is cancelled on its way stops being sent, and what it carried is given back", async () => {
  const [there, back] = pipes();
  const open = Promise.withResolvers<void>();
  let passed = 0;
  const gate = new TransformStream<Uint8Array, Uint8Array>({
    async transform(chunk, controller) {
      passed += chunk.length;
      if (passed > 1 << 20) await open.promise;
      controller.enqueue(chunk);
    },
  });
  const left = Connection.fromPipes(back.readable, there.writable);
  const right = Connection.fromPipes(there.readable.pipeThrough(gate), back.writable);
  const controller = new AbortController();
  const call = left.with({ signal: controller.signal }).call(
    (_bytes: Uint8Array, _callback: () => Promise<void>) => "arrived",
    new Uint8Array(64 << 20),
    () => Promise.resolve(),
  );
  const told = assertRejects(() => call, DOMException);
  await condition(() => passed > 1 << 20, "it is on its way");
  assertEquals(left.status().referencesGiven, 1);
  controller.abort();
  await told;
  assertEquals(left.status().referencesGiven, 0);
  open.resolve();
  assertEquals(await left.call(() => 1), 1);
  assert(passed < 8 << 20, "the rest stayed here");
  await left.close();
  await right.close();
});

Deno.test("chains that start from a scope inherit it, and what they wait for over there is told, too", () =>
  inPair(async ({ left, right }) => {
    const { seen } = shared.cancellation;
    for (
      const start of [
        (scope: CallScope) => (scope.callRef(untilCancelled) as unknown as Remote<{ a: { b: () => number } }>).a.b(),
        (scope: CallScope) => scope.call((x: unknown) => x, scope.call(untilCancelled)),
        (scope: CallScope) => scope.call((x: { deep: unknown }) => x, { deep: [scope.call(untilCancelled)] }),
      ]
    ) {
      seen.length = 0;
      const controller = new AbortController();
      const outcome = start(left.with({ signal: controller.signal })).then(() => "done", (error: unknown) => error);
      await condition(() => seen.length === 1, "the first link runs");
      controller.abort(new RangeError("all of it"));
      assertEquals((await outcome as Error).message, "all of it");
      await condition(() => seen.length === 2, "the first link is told");
      await condition(() => right.status().callsRunning === 0, "nothing runs");
    }
  }));

Deno.test("on() puts a proxy, a path or a result under a scope, and the same object stays the same", () =>
  inPair(async ({ left }) => {
    const makeWaiting = () => {
      const { getCallSignal } = (globalThis as unknown as typeof shared).cancellation;
      const wait = () =>
        new Promise<never>((_resolve, reject) => {
          const signal = getCallSignal();
          signal.addEventListener("abort", () => reject(signal.reason));
        });
      return { wait, deep: { wait }, n: 1 };
    };
    using there = await left.callRef(makeWaiting);
    const gate = Promise.withResolvers<void>();
    const controller = new AbortController();
    const scope = left.with({ signal: controller.signal });
    const under = scope.on(there);
    assertEquals(await under.n, 1);
    assert(await left.call((a: unknown, b: unknown) => a === b, under, there), "it is the same over there");
    const waiting = [
      under.wait(),
      scope.on(there.deep).wait(),
      scope.on(left.callRef(makeWaiting)).wait(),
      scope.on(left.call(async (gate: () => Promise<void>) => await gate(), () => gate.promise)),
      left.call(under.wait),
    ].map((it) => it.then(() => "done", (error: unknown) => (error as Error).name));
    await there.n;
    controller.abort();
    assertEquals(await Promise.all(waiting), waiting.map(() => "AbortError"));
    gate.resolve();
    assertEquals(await there.n, 1, "without the scope nothing has changed");
    await inPair((other) => {
      assertThrows(() => other.left.with({}).on(there), TypeError, "another connection");
      return Promise.resolve();
    });
    assertThrows(() => scope.on({} as never), TypeError, "not a proxy");
  }));

Deno.test("a proxy under a scope keeps the reference as long as it is used", () =>
  inPair(async ({ left }) => {
    const under = await (async () => left.with({ timeout: 60_000 }).on(await left.callRef(() => ({ n: 5 }))))();
    const path = await (async () => (await left.callRef(() => ({ deep: { n: 6 } }))).deep)().catch(() => undefined);
    assertEquals(path, { n: 6 }, "an async function reads the path that it returns");
    let proxy: Remote<{ deep: { n: number } }> | undefined = await left.callRef(() => ({ deep: { n: 7 } }));
    const kept = { path: proxy.deep.n };
    proxy = undefined;
    for (let i = 0; i < 3; i++) {
      collectGarbage();
      await new Promise((resolve) => setTimeout(resolve));
    }
    assertEquals([await under.n, await kept.path], [5, 7]);
  }));

Deno.test("options of a scope are checked", () =>
  inPair(({ left }) => {
    const make = (limits: object) => () => left.with(limits as never);
    assertThrows(make({ deadline: 5 }), TypeError, '"deadline"');
    assertThrows(make({ signal: {} }), TypeError, "AbortSignal");
    assertThrows(make({ timeout: "5" }), TypeError, "milliseconds");
    assertThrows(make({ timeout: NaN }), RangeError, "NaN");
    assertThrows(make({ timeout: -1 }), RangeError, "-1");
    assertThrows(make(5 as never), TypeError, "pass an object");
    assertInstanceOf(left.with({ timeout: 5 }), CallScope);
    return Promise.resolve();
  }));

Deno.test("results that come too late are dropped, and what they hold is released", () =>
  inPair(async ({ left, right }) => {
    const release: (() => void)[] = [];
    const controller = new AbortController();
    const gate = () => new Promise<void>((resolve) => release.push(resolve));
    // It does not look at the signal; its answer crosses the cancellation or is not sent at all.
    const late = async (gate: () => Promise<void>) => {
      await gate();
      return [() => 1, () => 2];
    };
    const call = left.with({ signal: controller.signal }).call(late, gate);
    const told = assertRejects(() => call, DOMException);
    await condition(() => release.length === 1, "it runs");
    release[0]!();
    controller.abort();
    await told;
    await condition(() => right.status().callsRunning === 0, "it ends");
    assertEquals(left.status().callsInFlight, 0);
    await condition(
      () => right.status().referencesGiven === 0 && left.status().referencesHeld === 0,
      "all is released",
    );
  }));

Deno.test("no listener stays on a signal that lives longer than 100,000 calls", () =>
  inPair(async ({ left }) => {
    const { controller, listeners } = countListeners();
    const scope = left.with({ signal: controller.signal });
    const one = () => 1;
    for (let i = 0; i < 100; i++) {
      const calls = Array.from({ length: 1000 }, () => scope.call(one));
      assertEquals(listeners(), 1, "one for all");
      await Promise.all(calls);
    }
    assertEquals(listeners(), 0);
    await assertRejects(() => scope.call(() => Promise.reject(new RangeError("failed"))), RangeError);
    await assertRejects(() => scope.call((it: unknown) => it, new WeakMap()), OperationError);
    assertEquals(await scope.callRef(() => ({ a: { b: 1 } })).a.b, 1);
    assertEquals(listeners(), 0);
  }));

await testEachRuntime("calls are cancelled, time out and pass signals", async (it) => {
  await onRemote(biosCommand({ runtime: it.path }), async (conn) => {
    const controller = new AbortController();
    const waiting = conn.with({ signal: controller.signal }).execute<string>(
      `const { getCallSignal } = await import("@x/across");
       const signal = getCallSignal();
       globalThis.noted = new Promise((resolve) => signal.addEventListener("abort", () => resolve(signal.reason.message)));
       globalThis.startedIt = true;
       await new Promise(() => {});`,
    );
    const told = waiting.catch((error: unknown) => error);
    await condition(() => conn.execute<boolean>("globalThis.startedIt === true"), "it runs");
    controller.abort(new RangeError("enough"));
    assertEquals((await told as Error).message, "enough");
    assertEquals(await conn.execute("await globalThis.noted"), "enough");
    await assertRejects(() => conn.with({ timeout: 30 }).call(never), DOMException, "30 ms");
    const passed = new AbortController();
    const noted: string[] = [];
    const result = conn.call(
      async (signal: AbortSignal, note: (text: string) => Promise<void>) => {
        const aborted = new Promise<void>((resolve) => {
          signal.addEventListener("abort", () => resolve(note((signal.reason as Error).message)));
        });
        await note("waiting");
        await aborted;
        return signal.aborted;
      },
      passed.signal,
      (text: string) => Promise.resolve(void noted.push(text)),
    );
    await condition(() => noted.length === 1, "it waits");
    passed.abort(new TypeError("now"));
    assertEquals([await result, noted], [true, ["waiting", "now"]]);
    const own = ref({ signal: passed.signal });
    assertEquals(
      await conn.call(async (it: Remote<{ signal: AbortSignal }>) => (await it.signal).aborted, own),
      true,
    );
  });
}, ({ name, version }) => name !== "deno" || version === Deno.version.deno || version.startsWith("2.0"));
