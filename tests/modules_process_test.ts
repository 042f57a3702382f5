/**
 * Modules of several peers in one process: this one.
 *
 * @module
 */

import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { importModule, installedSource } from "../modules/installed.ts";
import { ModuleLoader } from "../modules/loader.ts";
import type { ModuleSource } from "../modules/source.ts";
import { OperationError } from "../protocol/errors.ts";
import { serving } from "./support/module_fixtures.ts";

type Functions = Record<string, (...args: unknown[]) => unknown>;
let peers = 0;

function loaderFor(
  fetch: (id: string) => Promise<ModuleSource[]> = () => Promise.resolve([]),
  prefix = `across:/test${++peers}/`,
): ModuleLoader {
  return new ModuleLoader({ prefix, fetch });
}

/** A module; what it imports stands for itself. */
function module(id: string, source: string): ModuleSource {
  const at = [...source.matchAll(/(?<=(?:from|import) )["']/g)].map((found) => found.index);
  return { id, kind: "js", source, imports: {}, at };
}

Deno.test("ModuleLoader asks the peer for what is not here, and says both reasons when nobody has it", async () => {
  const asked: string[] = [];
  const loader = loaderFor((id) => {
    asked.push(id);
    if (id.endsWith("late.js")) return Promise.resolve([module(id, "export const late = () => 1")]);
    return Promise.reject(new OperationError(`Cannot serve "${id}": no`));
  });
  const late = await loader.import("file:///process/late.js") as Functions;
  assertEquals(late.late!(), 1);
  const error = await assertRejects(() => loader.import("file:///process/never.js"), OperationError);
  assertStringIncludes(error.message, `Cannot serve "file:///process/never.js": no; and here: `);
  assert("join" in await loader.import("node:path"));
  assertEquals(asked, ["file:///process/late.js", "file:///process/never.js"]);
  loader.forget();
});

Deno.test("importModule() imports what came from the peer that owns the process, else what the runtime has", async () => {
  const loader = loaderFor(undefined, "");
  loader.install([module("file:///process/owned.js", "export const owned = () => 1")]);
  assertEquals((await importModule("file:///process/owned.js") as Functions).owned!(), 1);
  assert("join" in await importModule("node:path"));
  assert(await importModule(import.meta.resolve("../protocol/errors.ts")) === await import("../protocol/errors.ts"));
  loader.forget();
  assertEquals(installedSource("file:///process/owned.js"), undefined);
});

Deno.test("ModuleGraph serves modules from the network that are exported themselves", async () => {
  const files: Record<string, string> = {
    "/a.ts": `import { b } from "./lib/b.ts"; import "https://elsewhere.invalid/c.js"; export const a: string = b;`,
    "/lib/b.ts": `export const b = "b" as const;`,
  };
  await using server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    ({ url }) =>
      new Response(files[new URL(url).pathname] ?? "", { status: new URL(url).pathname in files ? 200 : 404 }),
  );
  const root = `http://127.0.0.1:${server.addr.port}`;
  const modules = await serving(`${root}/a.ts`).collect([`${root}/a.ts`], new Set());
  assertEquals(modules.map(({ id }) => id), [`${root}/a.ts`, `${root}/lib/b.ts`]);
  await assertRejects(
    () => serving(`${root}/no.ts`).collect([`${root}/no.ts`], new Set()),
    OperationError,
    "it cannot be read (404 Not Found)",
  );
});

for (const [kind, back] of [["without a hook", ""], ["with a hook", `import "file:///process/a.js"; `]] as const) {
  // Deno's hooks wait for work as long as the process lives: this one comes last.
  const options = {
    name: `ModuleLoader keeps modules of two peers apart that have one URL, ${kind}`,
    sanitizeOps: !back,
  };
  Deno.test(options, async () => {
    const loaders = [1, 2].map((peer) => {
      const loader = loaderFor();
      loader.install([
        module(
          "file:///process/a.js",
          `import { b } from "file:///process/b.js"; export const a = () => "a${peer}" + b();`,
        ),
        module(
          "file:///process/b.js",
          `${back}export const b = () => { if (b.fail) throw new Error("b"); return "b${peer}" }; export const fail = () => { b.fail = 1 };`,
        ),
      ]);
      // Twice is once.
      loader.install([module("file:///process/a.js", "export const a = () => 'other'")]);
      return loader;
    });
    const [one, two] = await Promise.all(loaders.map((loader) => loader.import("file:///process/a.js"))) as [
      Functions,
      Functions,
    ];
    assertEquals([one.a!(), two.a!()], ["a1b1", "a2b2"]);
    assert(one === await loaders[0]!.import("file:///process/a.js"));
    const inner = await loaders[0]!.import("file:///process/b.js") as Functions;
    inner.fail!();
    try {
      one.a!();
      assert(false);
    } catch (error) {
      const stack = loaders[0]!.originalStack((error as Error).stack!);
      assertStringIncludes(stack, "(file:///process/a.js:1:");
      assertStringIncludes(stack, "(file:///process/b.js:1:");
      assert(!stack.includes("across:") && !stack.includes("blob:"), stack);
    }
    // They do not pass for modules of this program, for a peer has no say in what these are.
    assertEquals(installedSource("file:///process/a.js"), undefined);
    loaders[0]!.forget();
    assertEquals([one.a === undefined, two.a!()], [false, "a2b2"]);
    await assertRejects(() => loaders[0]!.import("file:///process/a.js"));
    loaders[1]!.forget();
  });
}
