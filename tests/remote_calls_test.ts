/**
 * Calls, callbacks, references, errors, `execute()` and `import()` on real interpreters, each bare and behind `biosCommand()`. Modules are the
 * business of `remote_modules_test.ts`.
 *
 * @module
 */

import { assert, assertEquals, assertInstanceOf, assertStrictEquals, assertStringIncludes } from "@std/assert";
import { hostname } from "node:os";
import { biosCommand, Connection, copy, DisconnectError, isProxy, OperationError, ref, set, ship } from "../mod.ts";
import type { Remote } from "../mod.ts";
import {
  ask,
  Counter,
  makeCounter,
  Point,
  reject,
  reverse,
  Secret,
  ShapeError,
  sum,
} from "./fixtures/remote/shapes.ts";
import { assertRejects } from "./support/assert_rejects.ts";
import { condition } from "./support/leaks.ts";
import { relayCommand } from "./support/relay.ts";
import { onRemote, ways } from "./support/remote.ts";
import type { Runtime } from "./support/runtimes.ts";
import { runtime, testEachRuntime } from "./support/runtimes.ts";

const SHAPES = import.meta.resolve("./fixtures/remote/shapes.ts");
const THIS_FILE = "tests/remote_calls_test.ts:";

/** Line of this file that has a mark, for what stacks must name. */
const lines = Deno.readTextFileSync(new URL(import.meta.url)).split("\n");
const lineOf = (mark: string): number => lines.findIndex((line) => line.includes(`// ${mark}`)) + 1;

async function values(conn: Connection): Promise<void> {
  const shared = { deep: [1n << 70n, -0, NaN, undefined, null] };
  const given = {
    list: [1, , 3],
    map: new Map<unknown, unknown>([[shared, new Set(["a", shared])]]),
    when: new Date(1e12),
    pattern: /a+b/gi,
    url: new URL("https://example.com/?q=1#f"),
    bytes: new Uint8Array([0, 1, 255]),
    text: "🎉 \ud800 lone",
    ["__proto__"]: { polluted: true },
    self: undefined as unknown,
  };
  given.self = given;
  const back = await conn.call((value: typeof given) => value, given);
  assertEquals(back, given);
  assertStrictEquals(back.self, back);
  assert(!(1 in back.list), "a hole stays one");
  assertEquals(Object.keys({}), [], "nothing was polluted");
  const size = 3 << 20;
  const bytes = new Uint8Array(size).map((_, i) => i * 7);
  assertEquals(await conn.call((b: Uint8Array) => b.map((it) => 255 - it), bytes), bytes.map((it) => 255 - it));
}

async function callbacks(conn: Connection): Promise<void> {
  const seen: number[] = [];
  const result = await conn.call(
    async (each: (n: number) => Promise<number>, fail: () => Promise<never>, ordinary: unknown) => {
      const squares: number[] = [];
      for (let i = 0; i < 3; i++) squares.push(await each(i));
      const error = await fail().catch((error: Error) => error);
      return { squares, error: `${(error as Error).name}: ${(error as Error).message}`, type: typeof ordinary };
    },
    (n: number) => Promise.resolve(seen.push(n) && n * n),
    () => Promise.reject(new RangeError("from the callback")),
    ship((n: number) => n),
  );
  assertEquals(result, { squares: [0, 1, 4], error: "RangeError: from the callback", type: "function" });
  assertEquals(seen, [0, 1, 2]);
}

async function references(conn: Connection): Promise<void> {
  using made = await conn.callRef(() => ({ list: [1], join: (...more: number[]) => Promise.resolve(more.length) }));
  assert(isProxy(made));
  await made.list.push(2, 3);
  assertEquals(await made.list, [1, 2, 3]);
  assertEquals(await made.join(1, 2), 2);
  await set(made, "list", [9]);
  assertEquals(await copy(made.list), [9]);
  assertEquals(await conn.call((it: { list: number[] }) => it.list[0], made), 9, "at home it is the original");
  const own = { name: "mine" };
  assert(
    await conn.call(
      async (it: Remote<typeof own>, same: (it: unknown) => Promise<boolean>) => await same(it),
      ref(own),
      (it: unknown) => Promise.resolve(it === own),
    ),
  );
  const twice = await conn.call(() => (n: number) => n * 2);
  assertEquals(await Promise.all([twice(1), twice(2)]), [2, 4]);
  assertEquals(await conn.callRef(() => ({ a: { b: (n: number) => [n] } })).a.b(7)[0], 7, "a chain");
}

/** A promise that has failed, or does before the other side can ask for it, must end neither process. */
async function failedPromises(conn: Connection): Promise<void> {
  const there = await conn.call(() => ({ broken: Promise.reject<number>(new RangeError("failed there")) }));
  await assertRejects(() => there.broken, RangeError, "failed there");
  const caught = conn.call(
    (it: { broken: Promise<number> }) => it.broken.catch((error: Error) => error.message),
    { broken: Promise.reject<number>(new RangeError("failed here")) },
  );
  assertEquals(await caught, "failed here");
}

async function errors(conn: Connection): Promise<void> {
  let thrown: unknown;
  try {
    // With nothing between the call and who awaits it: an engine that finds two that wait for a promise names neither.
    await conn.call(() => {
      throw Object.assign(new TypeError("as such", { cause: new RangeError("deeper") }), { code: "E_SUCH" }); // thrown here
    });
  } catch (error) {
    thrown = error;
  }
  assertInstanceOf(thrown, TypeError);
  assertEquals([thrown.message, (thrown as TypeError & { code?: string }).code], ["as such", "E_SUCH"]);
  assertInstanceOf(thrown.cause, RangeError);
  const [local, remote] = thrown.stack!.split(/^Below lines obtained from host ".*", process \d+$/m);
  assert(remote !== undefined, thrown.stack);
  assertStringIncludes(local!, THIS_FILE);
  assert(!local!.includes("/session/"), "the local part is the program's own");
  for (const value of [undefined, 0, "text", { a: 1 }]) {
    const caught = await conn.call((value: unknown) => {
      throw value;
    }, value).then(() => "none", (error: unknown) => [error]);
    assertEquals(caught, [value]);
  }
  // One bad value fails one call.
  class Unknown {}
  await assertRejects(
    () => conn.call((it: unknown) => it, { user: { socket: new Unknown() } }),
    OperationError,
    "args[0].user.socket",
  );
  await assertRejects(() => conn.call(() => ({ deep: [new WeakMap()] })), OperationError, "result.deep[0]");
  const outer = 1;
  await assertRejects(() => conn.call(() => outer), ReferenceError, 'pass "outer" as a parameter, or export()');
  let nested: unknown = "bottom";
  for (let i = 0; i < 10_000; i++) nested = [nested];
  const deep = await conn.call((it: unknown) => it, nested).catch((error: unknown) => error);
  assert(Array.isArray(deep) || deep instanceof OperationError, String(deep));
  assertEquals(await conn.call(() => 1), 1, "the connection lives");
}

async function executes(conn: Connection): Promise<void> {
  assertEquals(await conn.execute("const two = 2; two + two + x", { x: 1 }), 5);
  assertEquals(await conn.execute("const v = await Promise.resolve(5); v * arguments", { arguments: 2 }), 10);
  await conn.execute("kept = 1; var kept2 = 2; function kept3() {}");
  assertEquals(await conn.execute("[typeof kept, typeof kept2, typeof kept3]"), [
    "undefined",
    "undefined",
    "undefined",
  ]);
  await assertRejects(() => conn.execute("a b"), SyntaxError);
  assertEquals(await conn.execute("(await import('node:path')).posix.join('a', 'b')"), "a/b");
  using path = await conn.import<typeof import("node:path")>("node:path");
  assertEquals(await path.posix.basename("/a/b"), "b");
  await assertRejects(() => conn.import("node:no_such_module"), Error, "no_such_module");
}

async function publicNames(conn: Connection, { name }: Runtime): Promise<void> {
  assertEquals(await conn.call(Math.max, 1, 5, 3), 5);
  assertEquals(await conn.call(structuredClone, { a: 1 }), { a: 1 });
  assertEquals(await conn.call(hostname), hostname(), "of node:os, named as such");
  assertEquals(await conn.call(Date, 0), new Date(0));
  using map = await conn.callRef(Map<string, number>, [["a", 1]]);
  assertEquals(await map.get("a"), 1);
  const read = conn.call(Deno.readTextFile, import.meta.filename!);
  if (name === "deno") assertStringIncludes(await read, "what Deno alone has");
  else await assertRejects(() => read, OperationError, "Deno.readTextFile");
}

async function shapes(conn: Connection): Promise<void> {
  await conn.export(SHAPES);
  const point = await conn.call(sum, [new Point(1, 2), new Point(2, 2)]);
  assertInstanceOf(point, Point);
  assertEquals(point.length, 5);
  assertEquals((await conn.call(reverse, new Secret("abc"))).reveal(), "cba");
  assertEquals((await conn.call(Point, 5, 6)).plus(new Point(1, 1)), new Point(6, 7));
  const error = await assertRejects(() => conn.call(reject, point), ShapeError, "Cannot use 3,4");
  assertInstanceOf(error.point, Point);
  assertInstanceOf(error.cause, TypeError);
  using counter = await conn.callRef(Counter);
  assertEquals([await counter.add(2), await counter.add(3)], [2, 5]);
  using made = await conn.call(makeCounter);
  assertEquals(await made.add(7), 7);
  assertEquals(await conn.call(ask, (text: string) => Promise.resolve(`${text}!`)), ["first!", "second!"]);
}

await testEachRuntime("everything that a call can be works", async (it) => {
  for (const { name, args } of ways(it)) {
    try {
      await onRemote(args, async (conn) => {
        await values(conn);
        await callbacks(conn);
        await references(conn);
        await failedPromises(conn);
        await errors(conn);
        await executes(conn);
        await publicNames(conn, it);
        await shapes(conn);
        const { peer, callsInFlight, callsRunning } = conn.status();
        assertEquals([peer?.runtime, peer?.version], [it.name, it.version]);
        assertEquals([callsInFlight, callsRunning], [0, 0]);
      });
    } catch (error) {
      throw new Error(`${name}: ${(error as Error).message}`, { cause: error });
    }
  }
});

await testEachRuntime(
  "calls that are issued before the greeting leave in one write, and are answered in one round trip",
  async (it) => {
    for (const { name, args } of ways(it)) {
      const near = relayCommand(args);
      const conn = Connection.fromTransport(near, { acceptCalls: false });
      const exported = conn.export(SHAPES);
      const first = conn.call((a: number) => a + 1, 1);
      const chain = conn.callRef(() => ({ deep: { list: [3] } })).deep.list[0];
      assertEquals(await Promise.all([first, chain]), [2, 3]);
      // The superblock went out before anything was heard; all that followed the greeting is one burst.
      assertEquals(near.counts.turns, 1, name);
      await exported;
      assertEquals(await conn.call(sum, [new Point(1, 1)]), new Point(1, 1));
      await conn.close();
      await near.closed;
    }
  },
  ({ name, version }) => name !== "deno" || version === Deno.version.deno,
);

await testEachRuntime("ten thousand calls in flight all get their own answers, callbacks included", async (it) => {
  await onRemote(biosCommand({ runtime: it.path }), async (conn) => {
    const numbers = Array.from({ length: 10_000 }, (_, i) => i);
    const twice = (n: number) => Promise.resolve(n * 2);
    const results = await Promise.all(
      numbers.map((i) =>
        i % 10
          ? conn.call((n: number) => n * 2, i)
          : conn.call((n: number, twice: (n: number) => Promise<number>) => twice(n), i, twice)
      ),
    );
    assertEquals(results, numbers.map((n) => n * 2));
    assertEquals(conn.status().callsInFlight, 0);
  });
}, ({ name, version }) => /^(2\.0|2\.9|20|26|1)\./.test(version) && name !== undefined);

await testEachRuntime("a peer that dials may not start anything here, and everything else works", async (it) => {
  await onRemote(biosCommand({ runtime: it.path }), async (conn) => {
    await conn.export(SHAPES);
    const attempt = (source: string) =>
      conn.execute<string>(
        `const { getConnection } = await import("@x/across"); const it = getConnection();
        await (${source}).then(() => "done", (error) => error.name + ": " + error.message)`,
      );
    for (
      const source of [
        `it.call(() => 1)`,
        `it.execute("1")`,
        `it.import("node:fs")`,
        `it.replicate({})`,
        `it.call(Math.max, 1)`,
      ]
    ) {
      const answer = await attempt(source);
      assert(/^OperationError: .*acceptCalls/.test(answer), `${source}: ${answer}`);
    }
    const refused = await attempt(`it.export("file:///etc/passwd")`);
    assert(/^OperationError: .*acceptExportedModules/.test(refused), refused);
  });
}, ({ name, version }) => name !== "deno" || version === Deno.version.deno);

await testEachRuntime("a first result with a promise in it that has failed already arrives", async (it) => {
  await onRemote(biosCommand({ runtime: it.path }), failedPromises);
});

Deno.test("a call that waits is rejected when its connection is closed, and its function is told", async () => {
  const { path } = await runtime("node", 20);
  await onRemote(biosCommand({ runtime: path }), async (conn) => {
    let told = "";
    const waiting = conn.call(
      (started: () => Promise<void>) => started().then(() => new Promise<void>(() => {})),
      () => Promise.resolve(void (told = "started")),
    );
    const rejected = assertRejects(() => waiting, DisconnectError, "Connection is closed");
    await condition(() => told, "the call runs");
    await conn.close();
    await rejected;
  });
});

Deno.test("a remote stack names the line that issued the call", async () => {
  await onRemote(biosCommand(), async (conn) => {
    const here = await assertRejects(() => conn.call(() => (null as unknown as { x: never }).x), TypeError); // called here
    assertStringIncludes(here.stack!.split("Below lines")[0]!, `${THIS_FILE}${lineOf("called here")}:`);
  });
});
