/**
 * The command that starts an interpreter on this machine: where the wire goes, prints and children of the far side, the sandbox, and what is refused.
 *
 * @module
 */

import { assert, assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import type { Permissions } from "../bios/command.ts";
import { biosCommand } from "../bios/command.ts";
import { getBios } from "../bios/script.ts";
import { runtime, testEachRuntime } from "./support/runtimes.ts";
import { bootWith, isGreeting, reportingCore } from "./support/stage_1.ts";

const PRINTS = `
  console.log("from console");
  const { execFileSync, spawnSync } = await import("node:child_process");
  if (D) D.stdout.writeSync(new TextEncoder().encode("from stdout\\n"));
  else process.stdout.write("from stdout\\n");
  spawnSync("sh", ["-c", "echo from a child"], { stdio: "inherit" });
  // All that there is to read: our own stdin, and a child's.
  say({ stdin: D ? D.stdin.readSync(new Uint8Array(9)) ?? 0 : fs.readSync(0, new Uint8Array(9)) });
  say({ child: String(execFileSync("cat", { stdio: ["inherit", "pipe", "inherit"] })) });
`;

await testEachRuntime("biosCommand() moves the wire: prints go to stderr, and stdin is empty", async (it) => {
  const { greeting, said, stderr, code, pid } = await bootWith(biosCommand({ runtime: it.path }), {
    core: reportingCore(PRINTS),
    behind: new Uint8Array(1000),
  });
  assert(isGreeting(greeting), greeting);
  // The shell is gone: its process is the interpreter's.
  assertEquals([said[0]?.input, said[0]?.output, said[0]?.pid], [4, 3, pid]);
  assertEquals(said.slice(1), [{ stdin: 0 }, { child: "" }, { length: 1000, sum: 0 }]);
  const lines = stderr.trim().split("\n").sort();
  assertEquals([lines, code], [["from a child", "from console", "from stdout"], 0]);
});

await testEachRuntime("biosCommand() copes with sockets as stdin and stdout", async (it) => {
  // Children of Node have them.
  const relay = `const { spawn } = require("node:child_process"), [program, ...args] = process.argv.slice(1);
    const child = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"] });
    process.stdin.pipe(child.stdin);
    child.stdout.pipe(process.stdout);
    child.on("exit", (code) => process.exitCode = code);`;
  const { path } = await runtime("node", 24);
  const { greeting, said, stderr, code } = await bootWith(
    [path, "-e", relay, "--", ...biosCommand({ runtime: it.path })],
    { behind: new Uint8Array(100_000) },
  );
  assert(isGreeting(greeting), greeting);
  // Deno can read these only where they are.
  assertEquals([said[0]?.input, said[0]?.output], it.name === "deno" ? [0, 1] : [4, 3]);
  assertEquals([said[1], stderr, code], [{ length: 100_000, sum: 0 }, "", 0]);
});

await testEachRuntime("broken configuration in the working directory does not matter to biosCommand()", async (it) => {
  const cwd = await Deno.makeTempDir({ prefix: "across-broken-" });
  try {
    for (const name of ["deno.json", "deno.lock", "package.json", "tsconfig.json", "bunfig.toml"]) {
      await Deno.writeTextFile(`${cwd}/${name}`, "= { broken");
    }
    const { said, stderr, code } = await bootWith(biosCommand({ runtime: it.path }), { cwd });
    assertEquals([said.length, code], [2, 0]);
    // Bun complains, but goes on.
    if (it.name !== "bun") assertEquals(stderr, "");
  } finally {
    await Deno.remove(cwd, { recursive: true });
  }
});

await testEachRuntime("a program of any name will do", async (it) => {
  const folder = await Deno.makeTempDir({ prefix: "across-named-" });
  try {
    const path = `${folder}/it's my "interpreter" \\ $HOME`;
    await Deno.symlink(it.path, path);
    const { said, stderr, code, pid } = await bootWith(biosCommand({ runtime: path }));
    assertEquals([said.length, stderr, code], [2, "", 0]);
    assertEquals([said[0]?.output, said[0]?.pid], [3, pid]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("what is no interpreter is reported with 127", async () => {
  const program = await bootWith(biosCommand({ runtime: "/bin/true" }), { core: false });
  assertEquals([program.greeting, program.code], ["", 127]);
  assertStringIncludes(program.stderr, "Cannot use /bin/true: it is not one of deno (2 or newer)");
  const missing = await bootWith(biosCommand({ runtime: "/nowhere/node" }), { core: false });
  assertEquals([missing.greeting, missing.code], ["", 127]);
  assertStringIncludes(missing.stderr, "/nowhere/node");
});

Deno.test("biosCommand() starts the program that runs us, or one of its name", async () => {
  assert(biosCommand().includes(Deno.execPath()));
  assertEquals(biosCommand({ runtime: "deno" }), biosCommand());
  assert(biosCommand({ runtime: "node" }).includes("node"));
  // Without the permission to know better.
  const file = await Deno.makeTempFile({ suffix: ".ts" });
  const { path } = await runtime("deno", "2.3");
  try {
    const url = new URL("../bios/command.ts", import.meta.url).href;
    await Deno.writeTextFile(file, `import { biosCommand } from "${url}"; console.log(JSON.stringify(biosCommand()));`);
    const { stdout } = await new Deno.Command(path, { args: ["run", "--no-prompt", "--no-config", file] }).output();
    assert(JSON.parse(new TextDecoder().decode(stdout)).includes("deno"));
  } finally {
    await Deno.remove(file);
  }
});

Deno.test("without permissions for deno everything is allowed, with them only what they say", async () => {
  const file = await Deno.makeTempFile();
  const probe = `
    const attempt = (what) => { try { what(); return true } catch (error) { return error.name } };
    say({
      own: attempt(() => D.readTextFileSync(${JSON.stringify(file)})),
      other: attempt(() => D.readTextFileSync("/etc/hostname")),
      env: attempt(() => D.env.get("HOME")),
      run: attempt(() => new D.Command("true").outputSync()),
    });`;
  const core = reportingCore(probe);
  const denied = "NotCapable";
  try {
    for (
      const [permissions, result] of [
        [undefined, [true, true, true, true]],
        [{}, [denied, denied, denied, denied]],
        [{ read: [], env: undefined }, [denied, denied, denied, denied]],
        [{ read: [file] }, [true, denied, denied, denied]],
        [{ read: true, env: ["HOME"] }, [true, true, true, denied]],
        [{ run: ["true"] }, [denied, denied, denied, true]],
      ] as const
    ) {
      const command = biosCommand(permissions ? { permissions: permissions as Permissions } : {});
      const { said, stderr, code } = await bootWith(command, { core });
      assertEquals(Object.values(said[1] ?? {}), [...result], JSON.stringify(permissions) + stderr);
      assertEquals([said.length, code], [3, 0]);
    }
  } finally {
    await Deno.remove(file);
  }
});

await testEachRuntime(
  "the sandbox needs no permission, no home and no cache",
  async (it) => {
    const command = biosCommand({ runtime: it.path, permissions: {} });
    const env = { HOME: "/proc" };
    const { said, stderr, code } = await bootWith(command, { clearEnv: true, env, behind: new Uint8Array(100_000) });
    assertEquals([said[0]?.input, said[1], stderr, code], [0, { length: 100_000, sum: 0 }, "", 0]);
  },
  ({ name }) => name === "deno",
);

Deno.test("permissions are checked", () => {
  const refused = (permissions: unknown, complaint: string, runtime?: string) =>
    assertThrows(
      () => biosCommand({ permissions: permissions as Permissions, ...(runtime === undefined ? {} : { runtime }) }),
      TypeError,
      complaint,
    );
  refused({ read: ["/a,/b"] }, 'Cannot grant permission "read" for "/a,/b": pass strings that have no comma');
  refused({ read: [""] }, 'Cannot grant permission "read" for ""');
  refused({ net: [1] }, 'Cannot grant permission "net" for 1');
  refused({ net: "host" }, 'Cannot grant permission "net": pass true or a list, not "host"');
  refused({ env: false }, 'Cannot grant permission "env": pass true or a list, not false');
  refused({ all: true }, 'Cannot grant permission "all": there are read, write, net, env, run, sys, ffi');
  refused({}, 'Cannot start "node" with permissions: only deno has them', "node");
  refused({}, 'Cannot start "/opt/bun" with permissions: only deno has them', "/opt/bun");
  assertThrows(() => biosCommand({ runtime: "" }), TypeError, 'Cannot start runtime "": pass "deno", "node", "bun"');
  assertThrows(() => biosCommand({ runtime: "--eval" }), TypeError, 'Cannot start runtime "--eval"');
});

Deno.test("the commands are short", () => {
  const length = (args: string[]) => args.join(" ").length;
  assert(length(biosCommand()) < 1300, `${length(biosCommand())} bytes`);
  assert(length(biosCommand({ runtime: "/opt/interpreter" })) < 1800);
  assertMatch(biosCommand({ permissions: {} }).at(-1)!, /^data:application\/javascript,/);
  assert(biosCommand({ runtime: "node" }).includes(getBios().split("\n")[1]!));
});
