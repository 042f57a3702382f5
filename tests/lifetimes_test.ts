/**
 * Who keeps what alive: references and their races with garbage collection, what failures leave over, and that both tables of a connection are empty
 * again afterwards, which `inPair()` checks at the end of each test.
 *
 * @module
 */

import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import type { Connection, Remote } from "../mod.ts";
import { biosCommand, copy, isProxy, keep, OperationError, ref, release } from "../mod.ts";
import { Picky, REFUSING } from "./fixtures/remote/picky.ts";
import { assertRejects } from "./support/assert_rejects.ts";
import { collectGarbage } from "./support/garbage.ts";
import { condition } from "./support/leaks.ts";
import { inPair, settled } from "./support/pair.ts";
import { onRemote } from "./support/remote.ts";
import { testEachRuntime } from "./support/runtimes.ts";

/** Lets finalizers run. */
async function finalize(): Promise<void> {
  collectGarbage();
  await new Promise((resolve) => setTimeout(resolve));
}

/** Collects garbage all the time, until it is aborted. */
async function collecting(signal: AbortSignal): Promise<void> {
  while (!signal.aborted) await finalize();
}

/** Sends an object of ours there and back again and again; over there the proxy is garbage each time. */
async function goHome(conn: Connection, times: number): Promise<number> {
  const original = { name: "original" };
  const mine = ref(original);
  let right = 0;
  const check = (it: unknown) => Promise.resolve(void (it === original && right++));
  const send = async (it: unknown, check: (it: unknown) => Promise<void>) => await check(it);
  for (let i = 0; i < times; i += 50) {
    await Promise.all(Array.from({ length: 50 }, () => conn.call(send, mine, check)));
  }
  return right;
}

Deno.test("a proxy that is returned to its owner 10,000 times while garbage is collected is always the original", () =>
  inPair(async ({ left }) => {
    const stop = new AbortController();
    const collector = collecting(stop.signal);
    try {
      assertEquals(await goHome(left, 10_000), 10_000);
    } finally {
      stop.abort();
      await collector;
    }
  }));

await testEachRuntime(
  "a proxy that comes home from a remote end that collects garbage is the original",
  async (it) => {
    await onRemote(biosCommand({ runtime: it.path }), async (conn) => {
      await conn.execute(`
      const { setFlagsFromString } = await import("node:v8"), { runInNewContext } = await import("node:vm");
      setFlagsFromString("--expose-gc");
      globalThis.collector = setInterval(runInNewContext("gc"), 10);
      undefined;
    `);
      assertEquals(await goHome(conn, 1_000), 1_000);
      await conn.execute("clearInterval(globalThis.collector)");
    });
  },
  ({ name, version }) => name === "deno" && version === Deno.version.deno || name === "node" && /^2[04]/.test(version),
);

Deno.test("a proxy that is collected while its call is in flight does not drop the call", () =>
  inPair(async ({ left, right }) => {
    let open = () => {};
    const gate = () => new Promise<void>((resolve) => open = resolve);
    const waiting = await (async () => {
      const proxy = await left.callRef((gate: () => Promise<void>) => ({
        wait: async () => {
          await gate();
          return "still here";
        },
      }), gate);
      return [proxy.wait()];
    })();
    await condition(() => right.status().callsRunning === 1, "it runs");
    for (let i = 0; i < 3; i++) await finalize();
    open();
    assertEquals(await waiting[0], "still here");
  }));

Deno.test("a path keeps what it starts from", () =>
  inPair(async ({ left }) => {
    const kept = await (async () => ({ path: (await left.callRef(() => ({ deep: { n: 7 } }))).deep.n }))();
    for (let i = 0; i < 3; i++) await finalize();
    assertEquals(await kept.path, 7);
  }));

Deno.test("what a failed encode leaves over is given back, in arguments and in results", () =>
  inPair(async ({ left, right }) => {
    const bad = { callback: () => 1, more: [ref({}), () => 2], bad: new WeakMap() };
    for (let i = 0; i < 10; i++) {
      await assertRejects(() => left.call((it: unknown) => it, bad as never), OperationError, "args[0].bad");
      await assertRejects(
        () => left.call(() => ({ callback: () => 1, list: [() => 2], bad: new WeakMap() })),
        OperationError,
        "result.bad",
      );
    }
    assertEquals([left.status().referencesGiven, right.status().referencesGiven], [0, 0]);
  }));

for (const refused of ["decoding", "loading"]) {
  Deno.test(`what a failed decode leaves over is given back, when it fails in ${refused} a class`, () =>
    inPair(async ({ left, right }) => {
      (globalThis as Record<string, unknown>)[REFUSING] = refused;
      try {
        await left.export(import.meta.resolve("./fixtures/remote/picky.ts"), { Picky });
        const values = [() => 1, new Picky(), () => 2];
        await assertRejects(() => left.call((it: unknown) => typeof it, values), Error, "not ");
        await condition(async () => {
          await finalize();
          return left.status().referencesGiven === 0 && right.status().referencesHeld === 0;
        }, "nothing is held");
      } finally {
        delete (globalThis as Record<string, unknown>)[REFUSING];
      }
    }));
}

Deno.test("releases are batched", () =>
  inPair(async ({ left, right }) => {
    const proxies = await left.call(() => Array.from({ length: 1000 }, (_, i) => () => i));
    assertEquals([left.status().referencesHeld, right.status().referencesGiven], [1000, 1000]);
    const { messagesSent } = left.status();
    for (const proxy of proxies) release(proxy);
    await condition(() => right.status().referencesGiven === 0, "all are back");
    assertEquals(left.status().messagesSent, messagesSent + 1);
  }));

Deno.test("to release twice is harmless, and a reference that is received again is a new one", () =>
  inPair(async ({ left, right }) => {
    using holder = await left.callRef(() => {
      const it = () => "it";
      return { get: () => it };
    });
    const first = await holder.get();
    assertStrictEquals(await holder.get(), first, "the same proxy as long as it is held");
    release(first);
    release(first);
    await assertRejects(() => first(), OperationError, "released");
    const second = await holder.get();
    release(first);
    assertEquals(await second(), "it");
    release(second);
    await condition(() => right.status().referencesGiven === 1, "only the holder is left");
  }));

Deno.test("release() of a path does nothing, of a result gives back what it gives", () =>
  inPair(async ({ left, right }) => {
    using it = await left.callRef(() => ({ a: 1, make: () => () => 1 }));
    release(it.a);
    release(it.make());
    assertEquals(await it.a, 1);
    await condition(() => right.status().referencesGiven === 1 && left.status().referencesHeld === 1, "one is left");
  }));

Deno.test("using gives the reference back, await using runs the object's own dispose method first", () =>
  inPair(async ({ left, right }) => {
    const log = await left.callRef(() => [] as string[]);
    const make = (log: string[], kind: "sync" | "async" | "none" | "fails") => ({
      n: 1,
      ...(kind === "sync" ? { [Symbol.dispose]: () => void log.push("disposed") } : {}),
      ...(kind === "async"
        ? { [Symbol.asyncDispose]: async () => void await Promise.resolve().then(() => log.push("disposed, later")) }
        : {}),
      ...(kind === "fails"
        ? {
          [Symbol.dispose]: () => {
            throw new RangeError("cannot");
          },
        }
        : {}),
    });
    {
      using a = await left.callRef(make, log, "sync");
      assertEquals(await a.n, 1);
    }
    await condition(() => right.status().referencesGiven === 1, "only the log is left");
    assertEquals(await copy(log), [], "using tells nobody");
    for (const kind of ["sync", "async", "none"] as const) {
      await using it = await left.callRef(make, log, kind);
      assertEquals(await it.n, 1);
    }
    assertEquals(await copy(log), ["disposed", "disposed, later"]);
    await assertRejects(
      async () => {
        await using it = await left.callRef(make, log, "fails");
        assertEquals(await it.n, 1);
      },
      RangeError,
      "cannot",
    );
    await condition(() => right.status().referencesGiven === 1, "it was given back all the same");
    release(log);
  }));

Deno.test("what a call holds for its chain is dropped when nobody can go on from it", () =>
  inPair(async ({ left, right }) => {
    await (async () => {
      for (let i = 0; i < 100; i++) {
        left.call(() => ({ a: 1 }));
        assertEquals(await left.call(() => ({ a: { b: 1 } })).a.b, 1);
      }
    })();
    await condition(async () => {
      await finalize();
      return right.status().resultsHeld === 0;
    }, "nothing is held");
  }));

await testEachRuntime("both sides' tables are empty after all kinds of calls", async (it) => {
  await onRemote(biosCommand({ runtime: it.path }), async (conn) => {
    await (async () => {
      using list = await conn.replicate([1, 2, 3]);
      assertEquals(await list.map(async (n: number) => await Promise.resolve(n)).length, 3);
      const fn = await conn.call(() => (own: Remote<{ n: number }>) => own.n);
      assert(isProxy(fn));
      assertEquals(await fn(ref({ n: 5 })), 5);
      assertEquals(await keep(conn.call(() => ({ a: 1 }))).then((it) => it.a), 1);
      const controller = new AbortController();
      const cancelled = assertRejects(() =>
        conn.with({ signal: controller.signal }).call(
          (signal: AbortSignal) =>
            new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
          controller.signal,
        )
      );
      await conn.call(() => 1);
      controller.abort();
      await cancelled;
      await assertRejects(() => conn.call((it: unknown) => it, [() => 1, new WeakMap()]), OperationError);
    })();
    await settled(conn);
  });
}, ({ name, version }) => name !== "deno" || version === Deno.version.deno);
