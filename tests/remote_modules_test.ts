/**
 * Exported modules on real interpreters: graphs, what of them travels and how often, what is refused, and what stacks name. How sources are read
 * and linked is in `modules_*_test.ts`.
 *
 * @module
 */

import { assert, assertEquals, assertInstanceOf, assertStringIncludes } from "@std/assert";
import { EOL } from "node:os";
import { join } from "node:path";
import { biosCommand, OperationError } from "../mod.ts";
import type { Connection } from "../mod.ts";
import { isEven } from "./fixtures/remote/graph/even.ts";
import { failDeeply, levelOf, load, readyAt, report, state } from "./fixtures/remote/graph/main.ts";
import { assertRejects } from "./support/assert_rejects.ts";
import { condition, noLeaks } from "./support/leaks.ts";
import { folder } from "./support/module_fixtures.ts";
import { atLeast, onRemote, untilSeconded, ways } from "./support/remote.ts";
import type { Runtime } from "./support/runtimes.ts";
import { runtime, testEachRuntime } from "./support/runtimes.ts";

const GRAPH = import.meta.resolve("./fixtures/remote/graph/");
const MAIN = `${GRAPH}main.ts`;
/** Files that main.ts needs over there, the dynamically imported one included. */
const MODULES = 8;

/** Deno has hooks for modules since then; before, it takes graphs without cycles. */
const takesCycles = (it: Pick<Runtime, "name" | "version">): boolean => it.name !== "deno" || atLeast(it, "2.8.0");

function lineOf(file: string, mark: string): number {
  const lines = Deno.readTextFileSync(new URL(file)).split("\n");
  return lines.findIndex((line) => line.includes(`// ${mark}`)) + 1;
}

async function wholeGraph(conn: Connection): Promise<void> {
  await conn.export(MAIN);
  const expected = { text: "Good day, dear Ada!", path: join("a", "b"), level: "low" as const, lazy: 2, eol: EOL };
  const first = await conn.call(report, "Ada");
  assertEquals(first, { ...expected, count: 1, url: first.url, main: false });
  assertStringIncludes(first.url, "graph/main.ts");
  assertEquals((await conn.call(report, "Ada")).count, 2, "one instance keeps its state");
  assertEquals(await conn.call(state.count), 3, "also when it is called itself");
  assertEquals(await conn.call(levelOf, "a long name"), "high");
  assertEquals(await conn.call(readyAt), true);
  assertEquals(await conn.call(load, "node:path").then((names) => names.includes("join")), true);
  // A function that is sent by its source can import what was exported.
  assertEquals(await conn.call(async (url: string) => (await import(url)).levelOf("abc"), MAIN), "low");
}

async function sentOnce(conn: Connection): Promise<void> {
  assertEquals(conn.status().modulesSent, MODULES, "types.ts is not needed");
  const before = conn.status();
  await conn.export([MAIN, new URL(MAIN)]);
  await conn.export(`${GRAPH}levels.ts`);
  await conn.call(report, "Ada");
  const after = conn.status();
  assertEquals(after.modulesSent, before.modulesSent);
  assert(after.bytesSent - before.bytesSent < 500, `${after.bytesSent - before.bytesSent} bytes`);
}

async function stacks(conn: Connection): Promise<void> {
  const error = await assertRejects(() => conn.call(failDeeply, "from the deep"), RangeError, "from the deep");
  const [local, remote] = error.stack!.split("Below lines obtained from ");
  assertStringIncludes(local!, "remote_modules_test.ts:");
  const file = `${GRAPH}fails.ts`;
  const line = lineOf(file, "thrown here");
  // Where in `throw new RangeError(…)` the error is made is seen differently.
  assert(new RegExp(`${file}:${line}:(9|13)\\)`).test(remote!), `${file}:${line}:9 in ${error.stack}`);
  assert(!/across:|blob:|data:/.test(remote!), `nothing of our own: ${remote}`);
}

async function cycles(conn: Connection, it: Runtime): Promise<void> {
  await conn.export(`${GRAPH}even.ts`);
  if (takesCycles(it)) return assertEquals(await conn.call(isEven, 10), true);
  const error = await assertRejects(() => conn.call(isEven, 10), OperationError, "2.8");
  assertStringIncludes(error.message, "even.ts");
}

async function refusals(conn: Connection): Promise<void> {
  const usable = async (what: string): Promise<void> => assertEquals(await conn.call(levelOf, "abc"), "low", what);
  await assertRejects(() => conn.export(`${GRAPH}missing.ts`), OperationError, "missing.ts");
  await usable("after a module that is missing");
  await assertRejects(() => conn.export("./relative.ts"), TypeError, 'Cannot export "./relative.ts"');
  await assertRejects(() => conn.import(`${GRAPH}missing_too.ts`), Error, "missing_too.ts");
  await conn.export(`${GRAPH}breaks.ts`);
  for (let i = 0; i < 2; i++) {
    await assertRejects(
      () => conn.import<{ unreachable(): number }>(`${GRAPH}breaks.ts`).unreachable(),
      TypeError,
      "does not load",
    );
  }
  await usable("after a module that throws");
  await using place = await folder({
    "enum.ts": "export enum Colour { Red = 7 }; export const colour = (): Colour => Colour.Red;",
    "broken.ts": "export const a = ;",
    "whole/.hidden.ts": "export const hidden = 1;",
    "whole/good.ts": "export const good = () => 'good';",
    "outside.ts": "export const outside = 1;",
  });
  await assertRejects(() => conn.export(place.at("broken.ts")), OperationError, "broken.ts");
  await usable("after a module that is no TypeScript");
  await conn.export(place.at("enum.ts"));
  assertEquals(await conn.import<{ colour(): number }>(place.at("enum.ts")).colour(), 7);
  await conn.export(place.at("whole/"));
  await Deno.symlink(new URL(place.at("outside.ts")), new URL(place.at("whole/linked.ts")));
  for (const name of ["whole/.hidden.ts", "whole/linked.ts", "outside.ts"]) {
    // The peer may read files of its own, here the same ones: only that they do not come from us counts.
    const { modulesSent } = conn.status();
    await conn.import(place.at(name)).then(() => {}, () => {});
    assertEquals(conn.status().modulesSent, modulesSent, name);
  }
  assertEquals(await conn.import<{ good(): string }>(place.at("whole/good.ts")).good(), "good");
}

async function directory(conn: Connection): Promise<void> {
  type One = typeof import("./fixtures/remote/graph/lazy/one.ts");
  await conn.export(`${GRAPH}lazy/`);
  const before = conn.status();
  const url = `${GRAPH}lazy/one.ts`;
  const results = await Promise.all([
    conn.import<One>(url).one(),
    conn.import<One>(url).other(),
    conn.import<One>(url).one(),
  ]);
  assertEquals(results, ["one two", "other", "one two"]);
  const after = conn.status();
  assertEquals(after.modulesSent - before.modulesSent, 2);
  assert(after.messagesReceived - before.messagesReceived <= 4, "three results and one request");
}

await testEachRuntime("exported modules work as at home, and travel once", async (it) => {
  for (const { name, args } of ways(it)) {
    try {
      await onRemote(args, async (conn) => {
        await wholeGraph(conn);
        await sentOnce(conn);
        await stacks(conn);
        await cycles(conn, it);
        await refusals(conn);
      });
      await onRemote(args, async (conn) => {
        await untilSeconded(conn);
        await directory(conn);
      });
    } catch (error) {
      throw new Error(`${name}: ${(error as Error).message}`, { cause: error });
    }
  }
});

await testEachRuntime("two calls at once into a new module cost no more messages than one", async (it) => {
  const cost = async (calls: number): Promise<number[]> => {
    let counts: number[] = [];
    await onRemote(biosCommand({ runtime: it.path }), async (conn) => {
      await conn.ready();
      const exported = conn.export(MAIN);
      const results = await Promise.all([exported, ...Array.from({ length: calls }, () => conn.call(levelOf, "abc"))]);
      assertEquals(results.slice(1), Array(calls).fill("low"));
      const received = () => conn.status().messagesReceived - calls;
      await condition(() => received() > 1, "its hello has come, and that it has the extension");
      counts = [received(), conn.status().modulesSent];
    });
    return counts;
  };
  assertEquals(await cost(2), await cost(1));
}, ({ name, version }) => name !== "deno" || version === Deno.version.deno);

await testEachRuntime(
  "a running main module is exported from its own top level",
  noLeaks(async (it: Runtime) => {
    const program = new URL("./fixtures/remote/main_program.ts", import.meta.url).pathname;
    const { code, stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", program, it.path],
      stdin: "null",
      stderr: "inherit",
      signal: AbortSignal.timeout(60_000),
    }).output();
    assertEquals([code, new TextDecoder().decode(stdout).trim()], [0, "[42,true,8,true]"]);
  }),
  takesCycles,
);

Deno.test("a module that takes long to load holds up nobody but those who need it", async () => {
  const { path } = await runtime("node", 20);
  await using place = await folder({
    "waits.ts": `await globalThis.go; export const waited = () => "waited";`,
  });
  await onRemote(biosCommand({ runtime: path }), async (conn) => {
    await conn.execute("Object.assign(globalThis, { go: new Promise((resolve) => globalThis.start = resolve) }); 0");
    await conn.export([place.url]);
    const order: string[] = [];
    const waited = conn.import<{ waited(): string }>(place.at("waits.ts")).waited().then((text) => order.push(text));
    assertEquals(await conn.call((n: number) => n + 1, 1), 2);
    order.push("quick");
    await conn.execute("start()");
    await waited;
    assertEquals(order, ["quick", "waited"]);
  });
});

Deno.test("each connection has the modules that were exported over it", async () => {
  await using place = await folder({ "one.ts": "export const which = (): string => 'from here';" });
  const module = await import(place.at("one.ts")) as { which(): string };
  await onRemote(biosCommand(), (first) =>
    onRemote(biosCommand(), async (second) => {
      await first.export(place.at("one.ts"));
      assertEquals(await first.call(module.which), "from here");
      assertEquals(await second.call(module.which), "from here", "by its source");
      assertEquals([first.status().modulesSent, second.status().modulesSent], [1, 0]);
      const error = await assertRejects(() => second.call(failDeeply, "Ada"), ReferenceError);
      assertInstanceOf(error, ReferenceError);
      assertStringIncludes(error.message, "export()");
    }));
});
