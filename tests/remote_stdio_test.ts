/**
 * stdout is the wire: whatever code prints on a remote end, or a child of it, does the connection no harm and arrives on stderr; and nobody reads
 * the wire's input. What is protected where is told in `docs/runtimes.md`.
 *
 * @module
 */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { biosCommand, Connection } from "../mod.ts";
import { noLeaks } from "./support/leaks.ts";
import { atLeast, onRemote, printed, ways } from "./support/remote.ts";
import type { Runtime } from "./support/runtimes.ts";
import { testEachRuntime } from "./support/runtimes.ts";

/** What both worlds have, for functions that are sent by their source. */
interface Both {
  readonly Deno?: typeof Deno;
  readonly Bun?: { readonly stdout: unknown; write(to: unknown, text: string): Promise<number> };
  readonly process: {
    readonly stdout: { write(text: string | Uint8Array, done?: () => void): boolean };
    readonly stdin: AsyncIterable<Uint8Array>;
  };
}

/** Prints by every means, each a line of its own that names it. Where `files` is false, functions that write to descriptors are not held back. */
async function printByAllMeans(files: boolean): Promise<string[]> {
  const { Deno, Bun, process } = globalThis as unknown as Both;
  const means: string[] = [];
  const text = (name: string): string => {
    means.push(name);
    return `printed by ${name}`;
  };
  console.log(text("console.log"));
  console.info(text("console.info"));
  console.debug(text("console.debug"));
  console.dir(text("console.dir"));
  console.group(text("console.group"));
  console.groupEnd();
  console.table([{ column: text("console.table") }]);
  console.count(text("console.count"));
  process.stdout.write(`${text("process.stdout.write")}\n`);
  if (Deno) {
    const encoder = new TextEncoder();
    await Deno.stdout.write(encoder.encode(`${text("Deno.stdout.write")}\n`));
    Deno.stdout.writeSync(encoder.encode(`${text("Deno.stdout.writeSync")}\n`));
    const writer = Deno.stdout.writable.getWriter();
    await writer.write(encoder.encode(`${text("Deno.stdout.writable")}\n`));
    writer.releaseLock();
  }
  if (Bun) await Bun.write(Bun.stdout, `${text("Bun.write")}\n`);
  if (files) (await import("node:fs")).writeSync(1, `${text("fs.writeSync")}\n`);
  return means;
}

/** Starts children that inherit our stdout, by every means. */
async function printByChildren(): Promise<string[]> {
  const { Deno } = globalThis as unknown as Both;
  const means: string[] = [];
  const echo = (name: string): string => {
    means.push(name);
    return `echo printed by ${name}`;
  };
  const { execSync, spawn, spawnSync } = await import("node:child_process");
  spawnSync("sh", ["-c", echo("spawnSync")], { stdio: "inherit" });
  execSync(echo("execSync"), { stdio: ["inherit", "inherit", "inherit"] });
  await new Promise((resolve) =>
    spawn("sh", ["-c", echo("spawn")], { stdio: ["ignore", "inherit", "inherit"] }).on("close", resolve)
  );
  if (Deno) {
    new Deno.Command("sh", { args: ["-c", echo("Deno.Command.outputSync")], stdout: "inherit" }).outputSync();
    await new Deno.Command("sh", { args: ["-c", echo("Deno.Command.spawn")] }).spawn().status;
  }
  return means;
}

/** Reads stdin by every means; gives what there was. */
async function readByAllMeans(files: boolean): Promise<unknown[]> {
  const { Deno, process } = globalThis as unknown as Both;
  const found: unknown[] = [];
  const { spawnSync } = await import("node:child_process");
  found.push(spawnSync("cat", [], { stdio: ["inherit", "pipe", "inherit"] }).stdout.toString());
  if (files) found.push((await import("node:fs")).readSync(0, new Uint8Array(8)));
  if (Deno) found.push(await Deno.stdin.read(new Uint8Array(8)), Deno.stdin.readSync(new Uint8Array(8)));
  for await (const chunk of process.stdin) found.push(chunk);
  return found;
}

/** Whether functions of `node:fs` find stdin and stdout as they should: in a bare Deno from 2.8 on. */
const filesToo = (it: Runtime, way: string) => it.name !== "deno" || way !== "bare" || atLeast(it, "2.8");

await testEachRuntime("what a remote end and its children print arrives on stderr, and harms nothing", async (it) => {
  for (const { name, args } of ways(it)) {
    const output = printed();
    try {
      await onRemote(args, async (conn) => {
        // Calls are under way all the time.
        let calls = 0, over = false;
        const others = (async () => {
          for (; !over; calls++) assertEquals(await conn.call((n: number) => n, calls), calls);
        })();
        const printing = Promise.all([conn.call(printByAllMeans, filesToo(it, name)), conn.call(printByChildren)]);
        const [, means] = await Promise.all([others, printing.then((it) => it.flat()).finally(() => over = true)]);
        assert(means.length >= 11 && calls > 0);
        for (const it of means) await output.until(`printed by ${it}`);
      }, { stderr: output.stderr });
    } catch (error) {
      throw new Error(`${name}: ${(error as Error).message}`, { cause: error });
    }
  }
});

await testEachRuntime("code on a remote end finds its stdin empty", async (it) => {
  for (const { name, args } of ways(it)) {
    await onRemote(args, async (conn) => {
      const files = filesToo(it, name);
      const found = await conn.call(readByAllMeans, files);
      assertEquals(found, ["", ...files ? [0] : [], ...it.name === "deno" ? [null, null] : []], name);
      assertEquals(await conn.call(() => 1), 1);
    });
  }
});

await testEachRuntime("a burst of prints harms nothing and arrives whole", async (it) => {
  for (const { name, args } of ways(it)) {
    const output = printed();
    await onRemote(args, async (conn) => {
      const large = conn.call((n: number) => new Uint8Array(n).fill(7), 4 << 20);
      await conn.call(async () => {
        const { process } = globalThis as unknown as Both;
        const line = "x".repeat(63);
        for (let i = 0; i < 16_384; i++) console.log(line);
        await new Promise<void>((resolve) => void process.stdout.write("y".repeat(1 << 20), resolve));
        console.log("the end");
      });
      assertEquals(await large, new Uint8Array(4 << 20).fill(7), name);
      const text = await output.until("the end");
      assertEquals([text.split("x").length - 1, text.split("y").length - 1], [63 * 16_384, 1 << 20], name);
    }, { stderr: output.stderr });
  }
}, ({ name, version }) => name === "bun" || /^(2\.0|2\.9|20|26)\./.test(version));

Deno.test(
  "prints reach the stderr of the program that dials, where nothing else is said",
  noLeaks(async () => {
    const program = `
    import { biosCommand, Connection } from ${JSON.stringify(import.meta.resolve("../mod.ts"))};
    const conn = Connection.fromCommand(biosCommand(), JSON.parse(Deno.args[0]));
    await conn.call(() => console.log("hello from over there"));
    await conn.close();
    console.log("done");`;
    for (const [init, shown] of [[{}, true], [{ stderr: "inherit" }, true], [{ stderr: "null" }, false]] as const) {
      const { stdout, stderr, code } = await new Deno.Command(Deno.execPath(), {
        args: ["eval", "--no-config", "--ext=ts", program, JSON.stringify(init)],
        signal: AbortSignal.timeout(60_000),
      }).output();
      const text = new TextDecoder();
      assertEquals([text.decode(stdout), code], ["done\n", 0], text.decode(stderr));
      assertEquals(text.decode(stderr).includes("hello from over there"), shown);
    }
  }),
);

await testEachRuntime(
  "in the sandbox prints do no harm, either",
  noLeaks(async (it: Runtime) => {
    const output = printed();
    const conn = Connection.fromCommand(biosCommand({ runtime: it.path, permissions: {} }), { stderr: output.stderr });
    await conn.call(() => {
      console.log("printed by console.log");
      Deno.stdout.writeSync(new TextEncoder().encode("printed by Deno.stdout\n"));
    });
    await conn.call(async () => {
      const { process } = globalThis as unknown as Both;
      process.stdout.write("printed by process.stdout\n");
      await Deno.stdout.write(new TextEncoder().encode("printed by Deno.stdout.write\n"));
    });
    assertEquals(await conn.call(() => 1), 1);
    for (const by of ["console.log", "Deno.stdout", "process.stdout", "Deno.stdout.write"]) {
      assertStringIncludes(await output.until(`by ${by}\n`), `printed by ${by}\n`);
    }
    await conn.close();
  }),
  ({ name }) => name === "deno",
);
