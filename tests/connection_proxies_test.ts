/**
 * References between two connections in this process: callbacks, proxies, chains, and who keeps what alive.
 *
 * @module
 */

import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import type { Connection, Remote } from "../mod.ts";
import {
  copy,
  getConnection,
  getProxyConnection,
  has,
  isProxy,
  keep,
  OperationError,
  ref,
  release,
  set,
} from "../mod.ts";
import { assertRejects } from "./support/assert_rejects.ts";
import { collectGarbage } from "./support/garbage.ts";
import { condition } from "./support/leaks.ts";
import { inPair } from "./support/pair.ts";

Deno.test("functions as arguments are callbacks that run where they came from", () =>
  inPair(async (ends) => {
    let sum = 0;
    const result = await ends.left.call(
      async (add: (n: number) => Promise<number>) => await add(1) + await add(2),
      (n: number) => Promise.resolve(sum += n),
    );
    assertEquals([sum, result], [3, 4]);
    await assertRejects(
      () =>
        ends.left.call(async (fail: () => Promise<never>) => await fail(), () =>
          Promise.reject(new RangeError("from the callback"))),
      RangeError,
      "from the callback",
    );
  }));

Deno.test("functions as results become proxies, the same one for the same function", () =>
  inPair(async (ends) => {
    const double = await ends.left.call(() => (n: number) => n * 2);
    assert(isProxy(double));
    assertEquals(typeof double, "function");
    assertEquals(await double(4), 8);
    assertEquals(await ends.left.call(double, 5), 10);
    const [a, b] = await ends.left.call(() => {
      const f = () => 1;
      return [f, f];
    });
    assertStrictEquals(a, b);
  }));

Deno.test("a proxy that is sent home is the original object there", () =>
  inPair(async (ends) => {
    const own = { name: "original" };
    assertEquals(
      await ends.left.call(
        async (it: unknown, same: (value: unknown) => Promise<boolean>) => await same(it),
        ref(own),
        (it: unknown) => Promise.resolve(it === own),
      ),
      true,
    );
    using there = await ends.left.replicate([1, 2, 3]);
    assertEquals(await ends.left.call((list: number[]) => Array.isArray(list) && list.length, there), 3);
  }));

Deno.test("ref() passes by reference in arguments and results, replicate() copies and gives a proxy", () =>
  inPair(async (ends) => {
    const cheeses = ["Feta"];
    await ends.left.call(async (list: Remote<string[]>) => void await list.push("Brie"), ref(cheeses));
    assertEquals(cheeses, ["Feta", "Brie"]);
    using copied = await ends.left.replicate({ list: [1] });
    await copied.list.push(2);
    assertEquals(await copied.list, [1, 2]);
    assertEquals(await copy(copied), { list: [1, 2] });
    await set(copied, "list", [7]);
    assertEquals(await copied.list, [7]);
    assertEquals(await has(copied, "list"), true);
  }));

Deno.test("proxies print as what they are without asking, and refuse what would look local", () =>
  inPair(async (ends) => {
    using map = await ends.left.callRef(Map);
    assertEquals(String(map), "Remote <Map>");
    assertEquals(Deno.inspect(map), "Remote <Map>");
    assertThrows(() => JSON.stringify(map), TypeError, "copy()");
    assertThrows(() => Object.assign(map, { a: 1 }), TypeError, "set(");
    assertThrows(() => "a" in map, TypeError, "has(");
    assertThrows(() => delete (map as { size?: unknown }).size, TypeError, "del(");
    assert(!((map as unknown) instanceof Map));
    assertStrictEquals(getProxyConnection(map), ends.left);
    assertThrows(() => getProxyConnection({}), TypeError);
  }));

Deno.test("hidden names are not looked up, and refused where a peer sends them all the same", () =>
  inPair(async (ends) => {
    using object = await ends.left.callRef(() => ({ _secret: 1, open: 2 }));
    const loose = object as unknown as Record<string, unknown>;
    for (const name of ["_secret", "constructor", "prototype", "then"]) assertEquals(loose[name], undefined);
    for (const name of ["hasOwnProperty", "isPrototypeOf", "propertyIsEnumerable"]) {
      await assertRejects(async () => await (loose[name] as () => Promise<unknown>)(), OperationError, "not public");
    }
    using fn = await ends.left.callRef(() => (a: number) => a);
    for (const name of ["apply", "bind"]) {
      await assertRejects(
        async () => await (fn as unknown as Record<string, () => Promise<unknown>>)[name]!(),
        OperationError,
        "not public",
      );
    }
    assertEquals(await (fn as unknown as { length: Promise<number> }).length, 1);
  }));

Deno.test("a chain is one expression over there", () =>
  inPair(async (ends) => {
    const { left } = ends;
    const before = left.status().messagesReceived;
    assertEquals(
      await left.callRef(() => ({ find: (name: string) => ({ profile: { name } }) })).find("alice").profile.name,
      "alice",
    );
    assertEquals(left.status().messagesReceived, before + 1);
    await assertRejects(
      async () => await left.callRef(() => ({ a: undefined as unknown as { b: { c: number } } })).a.b.c,
      TypeError,
    );
    using made = await keep(left.call(() => ({ list: [1] })));
    assertEquals(await made.list, [1]);
  }));

Deno.test("to go on from a result that was awaited is an error that says what to do", () =>
  inPair(async (ends) => {
    const result = ends.left.call(() => ({ a: 1 }));
    await result;
    assertThrows(() => (result as unknown as { a: unknown }).a, OperationError, "use keep()");
  }));

Deno.test("results that are not there yet can be arguments", () =>
  inPair(async (ends) => {
    const { left } = ends;
    const one = left.call(() => Promise.resolve(1));
    assertEquals(await left.call((a: { deep: number[] }) => a.deep[0]! + 1, { deep: [one as unknown as number] }), 2);
    const failing = left.call(() => Promise.reject(new RangeError("base")));
    await assertRejects(async () => await left.call((x: unknown) => x, failing), RangeError, "base");
  }));

Deno.test("references are given back when their proxies are collected", () =>
  inPair(async (ends) => {
    const { left, right } = ends;
    await (async () => {
      for (let i = 0; i < 100; i++) await left.callRef(() => ({}));
    })();
    await condition(async () => {
      collectGarbage();
      await new Promise((resolve) => setTimeout(resolve));
      return left.status().referencesHeld === 0 && right.status().referencesGiven === 0;
    }, "references are given back");
    using kept = await left.callRef(() => ({ alive: true }));
    collectGarbage();
    assertEquals(await kept.alive, true);
    release(kept);
    release(kept);
    await assertRejects(async () => await kept.alive, OperationError, "released");
  }));

Deno.test("a proxy that goes home again and again while garbage is collected is always the original", () =>
  inPair(async (ends) => {
    const original = {};
    const mine = ref(original);
    let wrong = 0;
    const check = (it: unknown) => Promise.resolve(void (it === original || wrong++));
    for (let i = 0; i < 300; i++) {
      await ends.left.call(async (it: unknown, check: (it: unknown) => Promise<void>) => await check(it), mine, check);
      if (i % 10 === 0) {
        collectGarbage();
        await new Promise((resolve) => setTimeout(resolve));
      }
    }
    assertEquals(wrong, 0);
  }));

Deno.test("calls nest in both directions, and getConnection() follows them across await", async () => {
  const shared = globalThis as unknown as { testGetConnection?: () => Connection };
  shared.testGetConnection = getConnection;
  try {
    await inPair(async (ends) => {
      const down = async (depth: number): Promise<number> => {
        // deno-lint-ignore no-explicit-any -- looked up where it runs
        const connection = (globalThis as any).testGetConnection() as Connection;
        await Promise.resolve();
        return depth === 0
          ? 0
          : 1 + await connection.call((globalThis as unknown as { testDown: typeof down }).testDown, depth - 1);
      };
      Object.assign(shared, { testDown: down });
      assertEquals(await ends.left.call(down, 20), 20);
    });
    assertThrows(() => getConnection(), Error, "no call");
  } finally {
    delete shared.testGetConnection;
    delete (shared as { testDown?: unknown }).testDown;
  }
});

Deno.test("what ref() is around is what a chain goes on from, and what a reference refers to", () => {
  const own = { n: 1, add: (by: number) => own.n += by, inner: ref({ deep: 5 }) };
  const api = { give: () => ref(own), held: ref(own) };
  return inPair(
    async (ends) => {
      const root = ends.left.root<typeof api>();
      using proxy = await keep(root.give()) as unknown as Remote<typeof own>;
      assertEquals(await proxy.n, 1);
      const given = root.give() as unknown as Remote<typeof own>;
      assertEquals(await given.add(2), 3);
      assertEquals(await (root.held as unknown as Remote<typeof own>).n, 3);
      using inner = await proxy.inner;
      assert(isProxy(inner));
      assertEquals(await inner.deep, 5);
    },
    {},
    { expose: api },
  );
});
