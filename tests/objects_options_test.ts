// The options of spawn.with(), each on each runtime; those of the program that it is for are in objects_daemons_test.ts.

import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { spawn } from "../objects/mod.ts";
import { environment, forever, multiply } from "./fixtures/objects/jobs.ts";
import { assertRejects } from "./support/assert_rejects.ts";
import { noLeaks } from "./support/leaks.ts";
import { testEachPlace, usual } from "./support/objects.ts";
import { testEachRuntime } from "./support/runtimes.ts";

const JOBS = import.meta.resolve("./fixtures/objects/jobs.ts");

/** What runs us, and in what: a worker, a sandbox. */
const where = (): { readonly runtime: string; readonly worker: boolean } => {
  const { Deno, Bun, WorkerGlobalScope, process } = globalThis as unknown as {
    readonly [name: string]: { version?: unknown; getBuiltinModule?(name: string): { isMainThread: boolean } };
  };
  return {
    runtime: Deno ? "deno" : Bun ? "bun" : "node",
    worker: WorkerGlobalScope !== undefined ||
      process?.getBuiltinModule?.("node:worker_threads").isMainThread === false,
  };
};

await testEachPlace("name, modules, runtime and worker", async ({ modules: _, ...options }) => {
  await using p = spawn.with({ ...options, name: "product", modules: [JOBS] })(multiply, 6, 7);
  assertEquals([p.name, await p.result], ["product", 42]);
  await using q = spawn.with(options)(multiply, 6, 7);
  assertMatch(q.name, /^multiply-\d+$/);
  assertEquals(await q.result, 42, "without its module it travels by its source");
  await using r = spawn.with(options)(where);
  const { runtime, worker } = await r.result;
  assertEquals(worker, options.worker === true);
  const file = options.runtime?.split("/").at(-1) ?? "deno";
  assert(file.startsWith(runtime), `${runtime} runs in ${file}`);
});

await testEachRuntime(
  "env and cwd",
  noLeaks(async ({ path }) => {
    const cwd = await Deno.realPath(await Deno.makeTempDir());
    const options = { runtime: path, modules: [JOBS], env: { FLAVOUR: "sour" } };
    for (const place of [cwd, new URL(`file://${cwd}/`)]) {
      await using p = spawn.with({ ...options, cwd: place })(environment, "FLAVOUR");
      assertEquals(await p.result, ["sour", cwd]);
    }
    await using p = spawn.with(options)(environment, "PATH");
    assertEquals(await p.result, [Deno.env.get("PATH"), Deno.cwd()], "beside ours");
    await Deno.remove(cwd);
  }),
  usual,
);

await testEachRuntime(
  "permissions",
  noLeaks(async ({ path, name }) => {
    const folder = await Deno.makeTempDir();
    const look = (folder: string) => [...Deno.readDirSync(folder)].length;
    if (name !== "deno") {
      assertThrows(() => spawn.with({ runtime: path, permissions: {} })(look, folder), TypeError, "only deno has them");
    } else {
      await using allowed = spawn.with({ runtime: path, permissions: { read: [folder] } })(look, folder);
      assertEquals(await allowed.result, 0);
      await using denied = spawn.with({ runtime: path, permissions: {} })(look, folder);
      const error = await assertRejects(() => denied.result, Error, "read access");
      assertEquals(error.name, "NotCapable");
      await using items = spawn.with({ runtime: path, permissions: {}, modules: [JOBS] })(multiply, 2, 3);
      assertEquals(await items.result, 6, "modules need none");
    }
    await Deno.remove(folder);
  }),
  usual,
);

await testEachPlace("signal", async (options) => {
  for (const waits of [true, false]) {
    const controller = new AbortController();
    const p = spawn.with({ ...options, modules: [JOBS], signal: controller.signal })(forever);
    const result = waits ? assertRejects(() => p.result, RangeError, "enough") : undefined;
    await p.connection.ready();
    controller.abort(new RangeError("enough"));
    await result;
    if (waits) await p.join();
    else await assertRejects(() => p.join(), RangeError, "enough");
    assert(!p.isAlive);
  }
});

Deno.test(
  "options of one with() are those of the next, too",
  noLeaks(async () => {
    const inWorkers = spawn.with({ worker: true, name: "one" });
    await using p = inWorkers.with({ name: "two" })(where);
    assertEquals([p.name, (await p.result).worker], ["two", true]);
    assertThrows(() => inWorkers.with({ cwd: "/" }), TypeError, 'Cannot use option "cwd" for a worker');
  }),
);
