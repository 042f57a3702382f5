/**
 * Chains of operations: that each is carried out once, what of it crosses the connection, what becomes of failures, and what it costs in round
 * trips. Proxies themselves are in `connection_proxies_test.ts`.
 *
 * @module
 */

import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import type { Remote } from "../mod.ts";
import { Connection, copy, del, has, isProxy, keep, OperationError, ref, set } from "../mod.ts";
import { assertRejects } from "./support/assert_rejects.ts";
import { condition } from "./support/leaks.ts";
import { baseline, inPair, pair, pipes } from "./support/pair.ts";
import { relay } from "./support/relay.ts";

/** Something that notes what is done with it. */
class Notes {
  readonly done: string[] = [];
  get self(): Notes {
    this.done.push("get");
    return this;
  }
  add(text: string): this {
    this.done.push(text);
    return this;
  }
  async later(text: string): Promise<{ text: string; length: number }> {
    await Promise.resolve();
    this.done.push(text);
    return { text, length: text.length };
  }
  fail(): Notes {
    throw new RangeError("in the middle");
  }
  large(): { size: number; bytes: Uint8Array } {
    return { size: 1 << 20, bytes: new Uint8Array(1 << 20) };
  }
  unsendable(): { inner: { n: number }; bad: WeakMap<object, object> } {
    return { inner: { n: 7 }, bad: new WeakMap() };
  }
}

/** A pair of which the right end exposes notes. */
async function withNotes(
  body: (root: Remote<Notes>, notes: Notes, left: Connection, right: Connection) => Promise<void>,
): Promise<void> {
  const notes = new Notes();
  await inPair(({ left, right }) => body(left.root<Notes>(), notes, left, right), {}, { expose: notes });
}

/** Unhandled rejections during a test. */
async function unhandled(body: () => Promise<void>): Promise<unknown[]> {
  const reasons: unknown[] = [];
  const listener = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    reasons.push(event.reason);
  };
  addEventListener("unhandledrejection", listener);
  try {
    await body();
    await new Promise((resolve) => setTimeout(resolve)); // they are reported when a turn ends
  } finally {
    removeEventListener("unhandledrejection", listener);
  }
  return reasons;
}

Deno.test("once: a call is carried out once, awaited or not, chained or not", () =>
  withNotes(async (root, notes) => {
    root.add("not awaited");
    const base = root.add("base");
    const [a, b] = [base.later("one"), base.later("two")];
    assertEquals([(await a).text, await b.length], ["one", 3]);
    assertEquals([(await a).text, await a.then(({ length }) => length)], ["one", 3], "its result is shared");
    assertEquals(notes.done, ["not awaited", "base", "one", "two"]);
  }));

Deno.test("once: a path is read at most once, by the first then, and a new property access is a new path", () =>
  withNotes(async (root, notes) => {
    const path = root.self.done;
    assertEquals(notes.done, [], "nobody asked yet");
    assertEquals(await path, ["get"]);
    assertEquals([await path, await path.then((done) => done.length)], [["get"], 1]);
    assertEquals(notes.done.length, 1);
    assertEquals(await root.self.done, ["get", "get"]);
  }));

Deno.test("once: what is awaited only is not held, what is chained only is not sent, what is both is both", () =>
  withNotes(async (root, _notes, left, right) => {
    const bytes = async (body: () => Promise<unknown>) => {
      const before = left.status().bytesReceived;
      await body();
      return left.status().bytesReceived - before;
    };
    assert(await bytes(async () => await root.large()) > 1 << 20);
    assertEquals(right.status().resultsHeld, 0, "awaited");
    assert(await bytes(async () => assertEquals(await root.large().size, 1 << 20)) < 200, "chained");
    const both = root.large();
    assert(await bytes(async () => await Promise.all([both.size, both])) > 1 << 20, "both");
    const neither = root.large();
    await condition(() => right.status().resultsHeld > 0, "neither is held");
    assertEquals(await neither.size, 1 << 20);
    await neither;
  }));

Deno.test("once: to go on from a result that was awaited throws, and says chain first, or use keep()", () =>
  withNotes(async (root) => {
    const result = root.later("text");
    await result;
    for (const goOn of [() => result.text, () => keep(result), () => (result as unknown as () => void)()]) {
      assertThrows(goOn, OperationError, "chain before awaiting, or use keep()");
    }
    const chained = root.later("text");
    const length = chained.length;
    assertEquals([(await chained).text, await length], ["text", 4]);
  }));

Deno.test("failures: one that nobody handles is an unhandled rejection, once", () =>
  withNotes(async (root, _notes, left) => {
    const reasons = await unhandled(async () => {
      root.fail();
      await left.call(() => 1);
    });
    assertEquals(reasons.map((reason) => (reason as Error).message), ["in the middle"]);
  }));

Deno.test("failures: then, catch, finally, and being a base or an argument, count as handling", () =>
  withNotes(async (root, _notes, left) => {
    const reasons = await unhandled(async () => {
      const outcomes: unknown[] = [];
      const note = (error: unknown) => void outcomes.push((error as Error).message);
      root.fail().catch(note);
      root.fail().then(undefined, note);
      root.fail().finally(() => outcomes.push("finally")).catch(note);
      root.fail().add("never").catch(note);
      left.call((it: unknown) => it, root.fail()).catch(note);
      await condition(() => outcomes.length === 6, "all are told");
    });
    assertEquals(reasons, []);
  }));

Deno.test("failures: paths that are never awaited send nothing and fail nowhere", () =>
  withNotes(async (root, notes, left) => {
    const { messagesSent } = left.status();
    const reasons = await unhandled(async () => {
      for (const path of [root.self.done, (root as unknown as Remote<{ no: { such: { thing: 1 } } }>).no.such.thing]) {
        assert(typeof path === "function");
      }
      await Promise.resolve();
    });
    assertEquals([reasons, left.status().messagesSent, notes.done], [[], messagesSent, []]);
  }));

for (const how of ["close", "cancel"] as const) {
  Deno.test(`failures: calls that are open at ${how}() and that nobody watches are not reported`, async () => {
    const { left, right } = await pair();
    const reasons = await unhandled(async () => {
      left.call(() => new Promise(() => {}));
      left.callRef(() => new Promise<{ a: () => void }>(() => {})).a();
      await left.call(() => 1);
      left[how]();
      await left.close();
      await right.close().catch(() => {});
    });
    assertEquals(reasons, []);
  });
}

Deno.test("failures: a result that cannot travel rejects whoever awaits it, and the chain goes on", () =>
  withNotes(async (root) => {
    const result = root.unsendable();
    const inner = result.inner.n;
    await assertRejects(() => result, OperationError, "result.bad");
    assertEquals(await inner, 7);
    assertEquals(await root.unsendable().inner, { n: 7 });
  }));

Deno.test("thenables: a root proxy may be returned by async functions, and so may what keep() gives", () =>
  withNotes(async (root, notes) => {
    const same = await (async () => await Promise.resolve(root))();
    assertStrictEquals(same, root);
    assertEquals((root as { then?: unknown }).then, undefined);
    using kept = await (async () => await keep(root.later("kept")))();
    assert(isProxy(kept));
    assertEquals(await kept.length, 4);
    assertEquals(notes.done, ["kept"]);
  }));

Deno.test("itself: a call whose result is the object that it was called on gives the proxy that it was called through", () =>
  withNotes(async (root, _notes, left) => {
    assertStrictEquals(await root.add("a"), root);
    using kept = await left.callRef(() => {
      const it = { n: 0, up: () => (it.n++, it), later: () => Promise.resolve(it), inner: { me: () => it.inner } };
      return it;
    });
    assertStrictEquals(await kept.up(), kept);
    assertStrictEquals(await kept.later(), kept);
    assertStrictEquals(await keep(kept.up()), kept);
    const under = left.with({ timeout: 60_000 }).on(kept);
    assertStrictEquals(await under.up(), under);
    assertEquals(await kept.up().up().n, 5);
    assert(isProxy(await kept.inner.me()), "what a path led to is no proxy yet");
    const copied = await copy(kept.inner);
    assertEquals(Object.keys(copied), ["me"]);
  }));

Deno.test("set(), del(), has() and copy() work on proxies, paths and results", () =>
  inPair(async ({ left }) => {
    using it = await left.callRef(() => ({ a: { n: 1 as number | undefined }, list: [1, 2], make: () => ({ z: 1 }) }));
    await set(it.a, "n", 5);
    assertEquals([await it.a.n, await has(it.a, "n"), await has(it, "list")], [5, true, true]);
    assertEquals([await del(it.a, "n"), await has(it.a, "n"), await it.a.n], [true, false, undefined]);
    assertEquals([await copy(it.a), await copy(it.list), await copy(it.make())], [{}, [1, 2], { z: 1 }]);
    assertEquals(await has(it.make(), "z"), true);
    await set(left.call(() => ({ n: 1 })), "n", 2);
    await assertRejects(() => set(it.a, "__proto__" as never, {} as never), OperationError, "not public");
    await assertRejects(() => has(it.a, "hasOwnProperty" as never), OperationError, "not public");
  }));

/** Two ends with a relay between them that counts round trips; `right` exposes notes. */
async function relayed(
  body: (left: Connection, trips: (body: () => Promise<unknown>) => Promise<number>, notes: Notes) => Promise<void>,
): Promise<void> {
  const [there, back] = pipes();
  const near = relay({ readable: back.readable, writable: there.writable }, { latency: 5 });
  const notes = new Notes();
  const left = Connection.fromTransport(near);
  const right = Connection.fromPipes(there.readable, back.writable, { expose: notes });
  await Promise.all([left.ready(), right.ready()]);
  await left.call(() => 1);
  const trips = async (body: () => Promise<unknown>) => {
    const { turns } = near.counts;
    await body();
    return near.counts.turns - turns;
  };
  try {
    await body(left, trips, notes);
    await baseline(left, right);
  } finally {
    await left.close();
    await right.close();
    await near.closed;
  }
}

Deno.test("a chain of any length costs one round trip, from callRef, import, root, replicate and a proxy", () =>
  relayed(async (left, trips) => {
    const make = () => {
      const it = { n: 0, up: (by: number) => ((it.n += by), Promise.resolve({ inner: it })), values: [3, 4] };
      return it;
    };
    assertEquals(
      await trips(async () => {
        let at = left.callRef(make);
        for (let i = 0; i < 50; i++) at = at.up(1).inner as unknown as typeof at;
        assertEquals(await at.n, 50);
      }),
      1,
    );
    assertEquals(
      await trips(async () =>
        assertEquals(await left.import<typeof import("node:path")>("node:path").posix.join("a", "b").length, 3)
      ),
      1,
    );
    assertEquals(
      await trips(async () => assertEquals(await left.root<Notes>().add("a").add("b").self.done.length, 3)),
      1,
    );
    assertEquals(await trips(async () => assertEquals(await left.replicate({ a: [1, 2] }).a.at(-1), 2)), 1);
    using kept = await left.callRef(make);
    assertEquals(await trips(async () => assertEquals(await kept.up(5).inner.up(6).inner.values[1], 4)), 1);
    assertEquals(
      await trips(async () => {
        const sum = left.call((a: number, { b }: { b: number[] }) => a + b[0]!, kept.n, {
          b: [kept.values[0]!] as never,
        });
        assertEquals(await left.call((it: number) => it * 2, sum), 28);
      }),
      1,
    );
  }));

Deno.test("a failure in the middle of a chain reaches all that follows in one round trip, and none of that runs", () =>
  relayed(async (left, trips, notes) => {
    const outcomes: unknown[] = [];
    assertEquals(
      await trips(async () => {
        const root = left.root<Notes>();
        const failed = root.add("before").fail();
        const after = [
          failed.add("never"),
          failed.add("never").add("nor this").later("nor that"),
          failed.self.done.length,
          left.call((notes: Notes) => notes.add("not either"), failed as never),
          set(failed, "done" as never, [] as never),
        ];
        outcomes.push(...await Promise.allSettled([failed, ...after]));
      }),
      1,
    );
    assertEquals(outcomes.length, 6);
    for (const outcome of outcomes as PromiseSettledResult<unknown>[]) {
      assert(outcome.status === "rejected" && outcome.reason instanceof RangeError, JSON.stringify(outcome));
      assertEquals(outcome.reason.message, "in the middle");
    }
    assertEquals(notes.done, ["before"]);
  }));

Deno.test("results that are not there yet are arguments of any depth, proxies and paths, too", () =>
  inPair(async ({ left }) => {
    using there = await left.callRef(() => ({ n: 1, own: { deep: 2 } }));
    const own = { mine: true };
    const seen = await left.call(
      async (
        it: { n: number; own: { deep: number } },
        deep: { list: number[]; map: Map<string, number> },
        mine: Remote<{ mine: boolean }>,
      ) => [it.n, it.own.deep, ...deep.list, ...deep.map.values(), await mine.mine],
      left.call((it: unknown) => it, there) as never,
      { list: [there.n, there.own.deep], map: new Map([["a", left.call(() => Promise.resolve(5))]]) } as never,
      ref(own),
    );
    assertEquals(seen, [1, 2, 1, 2, 5, true]);
  }));
