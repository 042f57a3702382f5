/**
 * Several hops: a bare end boots further ends from what it has in memory, and calls, modules, errors and proxies go all the way.
 *
 * @module
 */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { biosCommand, Connection, OperationError, release } from "../mod.ts";
import type { Remote } from "../mod.ts";
import { closeFar, type Diary, failAt, farDiary, here, stillHere, type Stop, travel } from "./fixtures/remote/hops.ts";
import { assertRejects } from "./support/assert_rejects.ts";
import { isAlive, noLeaks } from "./support/leaks.ts";
import { onRemote } from "./support/remote.ts";
import { runtime, testEachRuntime } from "./support/runtimes.ts";

const HOPS = import.meta.resolve("./fixtures/remote/hops.ts");

const paths = async (...names: [name: "deno" | "node" | "bun", version?: string][]): Promise<string[]> =>
  await Promise.all(names.map(async ([name, version]) => (await runtime(name, version)).path));

/** Nothing can be written where these start, home included, and there is nothing to be found. */
const NOWHERE = { cwd: "/proc", clearEnv: true, env: { HOME: "/proc", PATH: "/usr/bin:/bin", NO_COLOR: "1" } };

await testEachRuntime("an end boots a further one of each kind, from a read-only place", async (it) => {
  const others = await paths(["deno"], ["node", "20"], ["bun"]);
  await onRemote(biosCommand({ runtime: it.path }), async (conn) => {
    await conn.export(HOPS);
    const stops: Stop[] = [];
    const greet = (stop: Stop) => Promise.resolve(`${stops.push(stop)} ${stop.runtime}`);
    const results = await Promise.all(others.map((other) => conn.call(travel, [other], greet)));
    for (const [index, name] of ["deno", "node", "bun"].entries()) {
      assertEquals(results[index]!.map((text) => text.split(" ")[1]), [it.name, name]);
    }
    assertEquals(stops.length, 6);
    assertEquals(new Set(stops.map(({ pid }) => pid)).size, 4, "one process here, one for each further end");
    assert(stops.every(({ cwd }) => cwd.startsWith("/proc")));
    assertEquals(await conn.call(stillHere, others[0]!), true);
  }, NOWHERE);
});

Deno.test("a chain of six ends of all kinds passes modules, callbacks and errors on", async () => {
  const [first, ...rest] = await paths(["deno"], ["node", "20"], ["bun"], ["deno", "2.8"], ["node", "26"], ["deno"]);
  await onRemote(biosCommand({ runtime: first! }), async (conn) => {
    await conn.export(HOPS);
    const stops: string[] = [];
    const greetings = await conn.call(travel, rest, (stop) => Promise.resolve(`hello ${stops.push(stop.runtime)}`));
    assertEquals(stops, ["deno", "node", "bun", "deno", "node", "deno"]);
    assertEquals(greetings, [1, 2, 3, 4, 5, 6].map((n) => `hello ${n}`));
    const error = await assertRejects(() => conn.call(failAt, rest.slice(0, 2)), RangeError, "the end of the world");
    assert(error.cause instanceof OperationError);
    // One line for each hop, each with what lies behind it.
    assertEquals(error.stack!.split("Below lines obtained from host ").length, 4, error.stack);
    assertStringIncludes(error.stack!.split("Below lines").at(-1)!, "remote/hops.ts:");
    assertStringIncludes(error.stack!.split("Below lines")[0]!, "hops_test.ts:");
  });
});

Deno.test("a proxy of something two hops away works, until the one between is gone", async () => {
  const [first, ...rest] = await paths(["node", "22"], ["deno"], ["bun"]);
  await onRemote(biosCommand({ runtime: first! }), async (conn) => {
    await conn.export(HOPS);
    const diary = await conn.call(farDiary, rest) as unknown as Remote<Diary>;
    assertEquals(await diary.write("from here"), 1);
    // At an end between, it is a proxy as well, and here it comes home as the one that we have.
    const write = async (it: Diary, text: string): Promise<number> => await it.write(text);
    assertEquals(await conn.call(write, diary as unknown as Diary, "from between"), 2);
    assertEquals(await diary.read(), ["bun: from here", "bun: from between"]);
    await conn.call(closeFar);
    const error = await assertRejects(() => diary.read(), Error, "closed");
    assertStringIncludes(`${error.name} ${error.message}`, "Connection is closed");
    assertEquals((await conn.call(here)).runtime, "node", "this connection lives");
    release(diary);
  });
});

await testEachRuntime("every entry point of across can be imported on an end, offline", async (it) => {
  const { exports } = JSON.parse(await Deno.readTextFile(new URL("../deno.json", import.meta.url))) as {
    exports: Record<string, string>;
  };
  await onRemote(biosCommand({ runtime: it.path }), async (conn) => {
    for (const entry of Object.keys(exports)) {
      const names = await conn.call(
        async (specifier: string) => Object.keys(await import(specifier)),
        entry.replace(/^\./, "@x/across"),
      );
      assert(entry.includes("bios") || names.length > 0, `${entry}: ${names}`);
    }
    const same = await conn.execute(
      `(await import("@x/across")).getConnection() === (await import("@x/across")).getConnection()`,
    );
    assertEquals(same, true);
  }, { ...NOWHERE, stderr: "null" });
});

Deno.test(
  "in the sandbox everything works that needs no permission, and exactly what is granted does",
  noLeaks(async () => {
    const place = await Deno.realPath(await Deno.makeTempDir());
    try {
      await Deno.writeTextFile(`${place}/file`, "readable");
      const attempt = async (conn: Connection, path: string): Promise<string> =>
        await conn.call(Deno.readTextFile, path).then((text) => text, (error) => (error as Error).name);
      const others = await Promise.all(["2.0", "2.3", "2.8", "2.9"].map((version) => runtime("deno", version)));
      for (const { path, version } of others) {
        for (const read of [undefined, [place]]) {
          const permissions = read ? { read } : {};
          const conn = Connection.fromCommand(biosCommand({ runtime: path, permissions }), NOWHERE);
          assertEquals(
            await conn.call((a: number, f: (n: number) => Promise<number>) => f(a), 20, (n) => Promise.resolve(n + 1)),
            21,
          );
          assertEquals(await attempt(conn, `${place}/file`), read ? "readable" : "NotCapable", version);
          assertEquals(await attempt(conn, "/etc/hostname"), "NotCapable");
          await conn.export(import.meta.resolve("./fixtures/remote/graph/levels.ts"));
          const { levelOf } = await import("./fixtures/remote/graph/levels.ts");
          assertEquals(await conn.call(levelOf, "abc"), "low");
          using map = await conn.callRef(Map<string, number>, [["a", 1]]);
          assertEquals(await map.get("a"), 1);
          await assertRejects(() => conn.call(() => new Deno.Command("true").outputSync() as never), Error);
          await assertRejects(() => conn.call(() => Deno.env.get("HOME")), Error);
          // Not even our own modules can be read there: they came over the wire.
          await conn.export(HOPS);
          assertEquals(await conn.call((() => 1) as () => number), 1);
          const hop = await conn.call(travel, [path], () => Promise.resolve("x")).then(
            () => "booted",
            (error) => error,
          );
          assert(hop instanceof Error, "no further end without the permission to run it");
          await conn.close();
        }
      }
    } finally {
      await Deno.remove(place, { recursive: true });
    }
  }),
);

Deno.test("a module that was exported to an end can be exported on from there, and nothing else of ours", async () => {
  const [first, second] = await paths(["node", "24"], ["deno", "2.8"]);
  await onRemote(biosCommand({ runtime: first! }), async (conn) => {
    await conn.export(HOPS);
    assertEquals(await conn.call(travel, [second!], (stop) => Promise.resolve(stop.runtime)), ["node", "deno"]);
    const pid = await conn.call(async () => (await import("node:process")).default.pid);
    assert(isAlive(pid));
  });
});
