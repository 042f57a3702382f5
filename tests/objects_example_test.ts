// The example of objects, as a program of its own; and this part of across on ends that have nothing.

import { assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { biosCommand, Connection } from "../mod.ts";
import { noLeaks } from "./support/leaks.ts";
import { runtime, testEachRuntime } from "./support/runtimes.ts";

const COUNTER = fromFileUrl(new URL("../examples/counter.ts", import.meta.url));

for (const place of ["here", "worker", "node", "bun"] as const) {
  Deno.test(
    `examples/counter.ts counts, stands still and stops [${place}]`,
    noLeaks(async () => {
      const args = place === "here"
        ? []
        : place === "worker"
        ? ["--worker"]
        : ["--runtime", (await runtime(place)).path];
      const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", "--quiet", COUNTER, ...args],
        stdin: "null",
        env: { NO_COLOR: "1" },
      }).output();
      const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
      assertEquals([code, out], [0, "It counts\nIt stands still\nIt stopped there\n"], err);
    }),
  );
}

/** Everything, on an end that has nothing but across, which came over the connection. */
const ALL = `
  const { Except, get, LocalExcept, passTo, pool, Served, spawn, superOf } = await import("@x/across/objects");
  const { set } = await import("@x/across");
  class Base { speak() { return "base"; } }
  class Thing extends Base { count = 1; speak() { return "thing"; } }
  const { face } = new Served(new Thing());
  await set(face, "count", 5);
  const found = [await get(face.count, 0), await passTo(face, (it, n) => it.count + n, 2), await superOf(face).speak()];
  const exc = new Except(RangeError);
  const p = spawn(async (exc, n) => {
    await exc.catch("work", () => { throw new RangeError("far"); }, { raises: false });
    return n * 2;
  }, exc, 21);
  found.push(await p.result, exc.get("work").message);
  await p.join();
  const members = pool(1, worker ? { worker: true } : {});
  found.push(await members.map((n) => n * n, [1, 2, 3]));
  await members.close();
  const local = new LocalExcept();
  await local.catch(() => { throw new Error("here"); });
  found.push(local.all().length);
  found
`;

await testEachRuntime(
  "a booted end has objects, offline, and boots processes of its own",
  noLeaks(async ({ path }) => {
    const conn = Connection.fromCommand(biosCommand({ runtime: path }));
    assertEquals(await conn.execute(ALL, { worker: false }), [5, 7, "base", 42, "far", [1, 4, 9], 1]);
    await conn.close();
  }),
);
