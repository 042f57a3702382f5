/**
 * The examples of gateways do what their first lines say, as programs of their own, on bare interpreters.
 *
 * @module
 */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { inFolder } from "./support/folder.ts";
import { canSeeLeaks, condition, descendants, isAlive, noLeaks } from "./support/leaks.ts";
import { runtime, testEachRuntime } from "./support/runtimes.ts";
import type { Runtime } from "./support/runtimes.ts";

const CONFIG = fromFileUrl(new URL("../deno.json", import.meta.url));
const MIB = 1 << 20;

/** Starts an example with its output piped. */
function start(cwd: string, example: string, args: readonly string[], env: Record<string, string> = {}) {
  const path = fromFileUrl(new URL(`../examples/gateways/${example}`, import.meta.url));
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--config", CONFIG, path, ...args],
    cwd,
    env: { NO_COLOR: "1", ...env },
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function end(child: Deno.ChildProcess): Promise<Ended> {
  const { code, stdout, stderr } = await child.output();
  return { code, stdout: new TextDecoder().decode(stdout), stderr: new TextDecoder().decode(stderr) };
}

async function run(cwd: string, example: string, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await end(start(cwd, example, [...args]));
  assertEquals(code, 0, stderr);
  return stdout;
}

const specOf = ({ name, path }: Runtime): string => `popen//runtime=${name === "deno" ? path : name}`;

await testEachRuntime(
  "the triangle talks",
  noLeaks(async (far: Runtime) =>
    assertEquals(
      await run(".", "triangle.ts", `popen//runtime=${far.path}`),
      "here -> carrier -> dialled -> installed\n",
    )
  ),
);

await testEachRuntime(
  "the file server lists, gets and puts",
  async (far: Runtime) =>
    await inFolder(async (folder) => {
      const server = `popen//runtime=${far.path}//chdir=${folder}`;
      const content = crypto.getRandomValues(new Uint8Array(60_000));
      await Deno.mkdir(join(folder, "inner"));
      await Deno.writeFile(join(folder, "here"), content);
      await Deno.writeFile(join(folder, "empty"), new Uint8Array());
      await run(folder, "file_server.ts", server, "put", "here", "inner/there");
      await run(folder, "file_server.ts", server, "get", "inner/there", "back");
      assertEquals(await Deno.readFile(join(folder, "back")), content);
      await run(folder, "file_server.ts", server, "get", "empty", "back");
      assertEquals((await Deno.stat(join(folder, "back"))).size, 0);
      const names = (await run(folder, "file_server.ts", server, "list", ".")).trim().split("\n").sort();
      assertEquals(names, ["back", "empty", "here", "inner/"]);
      assertEquals(await run(folder, "file_server.ts", server, "list", "inner"), "there\n");
    })(),
);

Deno.test(
  "the file server says what it cannot do, and leaves no half files",
  inFolder(async (folder) => {
    const { code, stderr } = await end(start(folder, "file_server.ts", ["popen", "list", "/does/not/exist"]));
    assertEquals(code, 1);
    assertMatch(stderr, /^ENOENT: no such file or directory/);
    await Deno.mkdir(join(folder, "inner"));
    await Deno.writeTextFile(join(folder, "here"), "text");
    // A folder cannot be replaced by a file.
    const put = await end(start(folder, "file_server.ts", ["popen", "put", "here", "inner"]));
    assertEquals(put.code, 1, put.stderr);
    assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name).sort(), ["here", "inner"]);
    assertEquals((await end(start(folder, "file_server.ts", ["popen", "get", "here"]))).code, 2);
  }),
);

Deno.test({
  name: "the file server keeps memory flat, whatever the size of a file",
  ignore: !canSeeLeaks,
  fn: inFolder(async (folder) => {
    /** The most memory that any process of a run had, in bytes. */
    const peak = async (...args: string[]): Promise<number> => {
      const child = start(folder, "file_server.ts", ["popen", ...args]);
      let most = 0, over = false;
      const ended = end(child).finally(() => over = true);
      await condition(
        () => {
          for (const { pid } of [{ pid: child.pid }, ...descendants(child.pid)]) {
            try {
              const status = Deno.readTextFileSync(`/proc/${pid}/status`);
              most = Math.max(most, Number(/VmHWM:\s*(\d+) kB/.exec(status)?.[1] ?? 0) * 1024);
            } catch {
              // it has ended
            }
          }
          return over;
        },
        "it has ended",
        100_000,
      );
      const { code, stderr } = await ended;
      assertEquals(code, 0, stderr);
      return most;
    };
    const size = 256 * MIB;
    for (const [name, length] of [["small", 4 * MIB], ["large", size]] as const) {
      using file = await Deno.create(join(folder, name));
      await file.truncate(length);
    }
    for (const what of ["get", "put"]) {
      const usual = await peak(what, "small", "copy"), large = await peak(what, "large", "copy");
      assertEquals((await Deno.stat(join(folder, "copy"))).size, size);
      assert(large < usual + 96 * MIB, `${what}: ${large / MIB} MiB instead of ${usual / MIB}`);
    }
  }),
});

/** A project whose tests do all that tests can do. */
async function makeProject(folder: string): Promise<void> {
  const files = {
    "lib/sum.ts": "export const sum = (a: number, b: number): number => a + b;",
    "tests/sum_test.ts": `
      import { sum } from "../lib/sum.ts";
      Deno.test("sums", async (t) => { await t.step("a step", () => { if (sum(1, 2) !== 3) throw new Error(); }); });
      Deno.test({ name: "not now", ignore: true, fn() {} });`,
    "tests/fails_test.ts": `Deno.test("fails & says <why>", () => { throw new RangeError("two < one & three"); });`,
    "tests/broken_test.ts": `throw new Error("does not load");`,
    // The first interpreter that gets it is killed by it, and it would not end by itself then.
    "tests/deadly_test.ts": `
      Deno.test("survives", async () => {
        try {
          Deno.writeTextFileSync(${JSON.stringify(join(folder, "was_here"))}, String(Deno.pid), { createNew: true });
        } catch {
          return;
        }
        Deno.kill(Deno.ppid, "SIGKILL");
        await new Promise((resolve) => setTimeout(resolve, 600_000));
      });`,
    "node_modules/other/other_test.ts": `Deno.test("not of this project", () => {});`,
    ".hidden/hidden_test.ts": `Deno.test("hidden", () => {});`,
    "deno.json": "{}",
  };
  for (const [name, text] of Object.entries(files)) {
    await Deno.mkdir(join(folder, name, ".."), { recursive: true });
    await Deno.writeTextFile(join(folder, name), text);
  }
}

Deno.test(
  "the test runner spreads files over interpreters, survives one of them, and makes one report",
  inFolder(async (folder) => {
    await makeProject(folder);
    const old = await runtime("deno", "2.0");
    const on = ["popen//runtime=deno", specOf(old), "popen//runtime=deno"].flatMap((spec) => ["--on", spec]);
    const temporary = join(folder, ".tmp");
    await Deno.mkdir(temporary);
    const ended = await end(start(folder, "test_runner.ts", ["--junit", "report.xml", ...on], { TMPDIR: temporary }));
    const pid = Number(await Deno.readTextFile(join(folder, "was_here")));
    try {
      await condition(() => !isAlive(pid), "what the killed one ran has ended with it", 30_000);
    } finally {
      if (isAlive(pid)) Deno.kill(pid, "SIGKILL");
    }
    assertEquals([...Deno.readDirSync(temporary)].map(({ name }) => name), [], "no copy is left");
    assertEquals(ended.code, 1, ended.stderr);
    assertMatch(ended.stdout, /^ok tests\/sum_test\.ts \(2 passed, 0 failed/m);
    assertMatch(ended.stdout, /^ok tests\/deadly_test\.ts \(1 passed/m);
    assertMatch(ended.stdout, /^FAILED tests\/fails_test\.ts/m);
    assertMatch(
      ended.stdout,
      /^fails & says <why> \(tests\/fails_test\.ts, deno .*\)\nRangeError: two < one & three$/m,
    );
    assertStringIncludes(ended.stdout, "does not load");
    assertMatch(ended.stdout, /\nFAILED \| 3 passed \| 2 failed \| 1 ignored \(.* s on 3 interpreters\)\n$/);
    const xml = await Deno.readTextFile(join(folder, "report.xml"));
    assertMatch(xml, /<testsuites name="deno test" tests="6" failures="2"/);
    assertEquals(xml.match(/<testsuite hostname="deno [\d.]+, [^"]+" name="\.\/tests\/\w+_test\.ts"/g)?.length, 4);
    assertStringIncludes(xml, 'name="fails &amp; says &lt;why&gt;"');
    assert(!xml.includes("hidden") && !xml.includes("not of this project"));
  }),
);

Deno.test(
  "the test runner runs what it is told, and tells a success",
  inFolder(async (folder) => {
    await makeProject(folder);
    const stdout = await run(folder, "test_runner.ts", "tests/sum_test.ts");
    assertMatch(stdout, /\nok \| 2 passed \| 0 failed \| 1 ignored \(.* s on 2 interpreters\)\n$/);
    const wrong = await end(start(folder, "test_runner.ts", ["--on", "popen//runtime=node", "tests/"]));
    assertEquals(wrong.code, 1);
    assertStringIncludes(wrong.stderr, "pass runtime=deno");
  }),
);
