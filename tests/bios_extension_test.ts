/**
 * The kernel and its extension, on real interpreters: how little is sent until the first result, what takes the extension along, and that nobody waits
 * for it. What is embedded is looked at in `bios_sources_test.ts`.
 *
 * @module
 */

import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { biosCommand, Connection, getBios, has, OperationError, ref } from "../mod.ts";
import { one } from "./fixtures/remote/graph/lazy/one.ts";
import { assertRejects } from "./support/assert_rejects.ts";
import { condition, noLeaks } from "./support/leaks.ts";
import { relayCommand } from "./support/relay.ts";
import { onRemote, ways } from "./support/remote.ts";
import type { Runtime } from "./support/runtimes.ts";
import { testEachRuntime } from "./support/runtimes.ts";

const MODULE = import.meta.resolve("./fixtures/remote/graph/lazy/one.ts");
/** Bytes that may be sent until the first result of a plain call. */
const GOAL = 24 * 1024;
/** More than a few small messages have. */
const SMALL = 1_000;

const add = (a: number, b: number): number => a + b;

/** What was sent so far, the script included. */
const sent = (conn: Connection): number => conn.status().bytesSent + getBios().length;

/** Whether the extension was sent. */
const isExtended = (conn: Connection): boolean => sent(conn) >= GOAL;

await testEachRuntime("less than 24 KiB are sent until the first result of a plain call", async (it) => {
  for (const { name, args } of ways(it)) {
    await onRemote(args, async (conn) => {
      assertEquals(await conn.call(add, 20, 22), 42);
      assert(sent(conn) < GOAL, `${name}: ${sent(conn)} bytes`);
    });
    await onRemote(args, async (conn) => {
      await conn.ready();
      assertEquals(await Promise.all([conn.call(add, 20, 22), conn.call(Math.max, 20, 42)]), [42, 42]);
      assert(sent(conn) < GOAL, `${name}: ${sent(conn)} bytes after ready()`);
    });
  }
});

await testEachRuntime("the extension follows the first answer, once", async (it) => {
  await onRemote(biosCommand({ runtime: it.path }), async (conn) => {
    assertEquals(await conn.call(add, 20, 22), 42);
    await condition(() => isExtended(conn), "the extension was sent");
    const before = sent(conn);
    assertEquals(await conn.execute("20 + 22"), 42);
    assertEquals(await conn.call((find: () => Promise<number>) => find(), () => Promise.resolve(42)), 42);
    assert(sent(conn) - before < SMALL, `${sent(conn) - before} more bytes`);
  });
});

const NEEDING: Readonly<Record<string, (conn: Connection) => PromiseLike<unknown>>> = {
  "execute()": (conn) => conn.execute("'object'"),
  "import()": (conn) =>
    conn.import<{ posix: { basename(path: string): string } }>("node:path").posix.basename("/object"),
  "a function that imports": (conn) => conn.call(async () => (await import("node:path")).posix.basename("/object")),
  "a callback": (conn) => conn.call((find: () => unknown) => typeof find === "function" && "object", () => {}),
  "a reference": (conn) => conn.call((list: object) => list && "object", ref([])),
  "a generator": (conn) => {
    const items = (async function* () {
      yield "object";
    })();
    return conn.call(async (items: AsyncGenerator<string>) => (await items.next()).value, items);
  },
  "an iteration": async (conn) => (await Array.fromAsync(conn.callRef(() => ["object"])))[0],
  "looking for a property": async (conn) => await has(conn.callRef(() => ({ at: 1 })), "at") && "object",
  "a call after an answer": (conn) => conn.call(add, 1, 2).then(() => conn.call(() => "object")),
};

await testEachRuntime("what needs the extension takes it along, and no round trip", async (it) => {
  for (const [name, operation] of Object.entries(NEEDING)) {
    const relay = relayCommand(biosCommand({ runtime: it.path }));
    const conn = Connection.fromTransport(relay);
    try {
      assertEquals(await operation(conn), "object", name);
      assert(isExtended(conn), `${name} took it along`);
      const { turns } = relay.counts;
      assert(turns <= (name === "a call after an answer" ? 2 : 1), `${name} took ${turns} round trips`);
    } finally {
      await conn.close();
    }
  }
});

await testEachRuntime("a first call into an exported module is answered", async (it) => {
  for (const { args } of ways(it)) {
    await onRemote(args, async (conn) => {
      const exported = conn.export(MODULE);
      await exported;
      assertEquals(await conn.call(one), "one two");
      assert(sent(conn) < 2 * GOAL, `${sent(conn)} bytes`);
    });
  }
});

await testEachRuntime("a first result that the kernel alone cannot send waits for the extension", async (it) => {
  const command = biosCommand({ runtime: it.path });
  await onRemote(command, async (conn) => assertStrictEquals(await conn.call(() => Map), Map), { acceptCalls: true });
  await onRemote(command, async (conn) => {
    await assertRejects(() => conn.call(() => new WeakMap()), OperationError, "WeakMap");
    assertEquals(await conn.call(add, 20, 22), 42);
  });
});

await testEachRuntime("a first failure that says what across itself refused waits for the extension", async (it) => {
  await onRemote(biosCommand({ runtime: it.path }), async (conn) => {
    const object = conn.callRef(() => ({})) as unknown as { toLocaleString(): Promise<string> };
    await assertRejects(() => object.toLocaleString(), OperationError, "not public");
    assertEquals(await conn.call(add, 20, 22), 42);
  });
});

await testEachRuntime("results, chains and failures of plain calls do without the extension", async (it) => {
  const command = biosCommand({ runtime: it.path });
  const failing = (): never => {
    throw Object.assign(new RangeError("Too much"), { at: new Date(0) });
  };
  await onRemote(command, async (conn) => {
    const error = await assertRejects(() => conn.call(failing), RangeError, "Too much");
    assertEquals((error as { at?: unknown }).at, new Date(0));
    assert(!isExtended(conn));
  });
  await onRemote(command, async (conn) => {
    const list = conn.callRef(() => ["a", "b"]);
    assertEquals(await list.concat(["c"]).join(), "a,b,c");
    assert(!isExtended(conn));
  });
});

await testEachRuntime(
  "a connection that is closed while the extension is on its way ends cleanly",
  noLeaks(async (it: Runtime) => {
    for (const { args } of ways(it)) {
      await using conn = Connection.fromCommand(args);
      await conn.call(add, 1, 2);
      const second = conn.call(add, 20, 22); // takes the extension along
      second.catch(() => {});
      await condition(() => isExtended(conn), "the extension was sent");
      await conn.close();
    }
  }),
);
