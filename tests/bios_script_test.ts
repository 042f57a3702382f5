/**
 * Stage 1 by itself: its text, and what it does in every interpreter and behind every shell, with a core of the tests' own (`support/stage_1.ts`). What
 * the library makes of it is tested elsewhere.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { biosCommand } from "../bios/command.ts";
import { getBios } from "../bios/script.ts";
import { evalArgs, runtime, testEachRuntime } from "./support/runtimes.ts";
import { bootWith, isGreeting, joinBytes, packCore, reportingCore, sumOf, SUPERBLOCK } from "./support/stage_1.ts";

const text = new TextEncoder();

Deno.test("the script is small and passes through any shell", () => {
  const script = getBios();
  assert(text.encode(script).length < 1000, `${script.length} bytes`);
  assertMatch(script, /^[\n -~]*$/);
  const lines = script.split("\n");
  assertEquals([lines[0], lines.at(-1)], ["//'", "//'"]);
  const inner = script.slice(4, -4);
  assertEquals(inner.match(/['\\]/g), null);
  assertEquals(inner.match(/[!%#\n]/g), null, "also as a data: URL and in csh");
  assertEquals(getBios({ runtime: "node" }), script);
});

await testEachRuntime("the script greets, skips the superblock and runs the core", async (it) => {
  const { greeting, said, stderr, code } = await bootWith(evalArgs(it, getBios()));
  assertEquals(greeting, `~across1 ${it.name} ${it.version}~`);
  const { length } = packCore(reportingCore());
  assertEquals({ ...said[0], pid: 0 }, { payload: length - 8, input: 0, output: 1, pid: 0 });
  assertEquals([said[1], stderr, code], [{ length: 0, sum: 0 }, "", 0]);
});

await testEachRuntime("three megabytes behind the core arrive whole", async (it) => {
  const behind = new Uint8Array(3 << 20).map((_, index) => (index * index) >> 7);
  const { said, stderr, code } = await bootWith(evalArgs(it, getBios()), { behind });
  assertEquals(said[1], { length: behind.length, sum: sumOf(behind) });
  assertEquals([stderr, code], ["", 0]);
});

await testEachRuntime("the end of the input ends the script with 69", async (it) => {
  const packed = packCore(reportingCore());
  for (const bytes of [new Uint8Array(), SUPERBLOCK, packed.slice(0, 5), packed.slice(0, 100)]) {
    const { greeting, said, stderr, code } = await bootWith(evalArgs(it, getBios()), { bytes });
    assert(isGreeting(greeting), greeting);
    assertEquals([said, stderr, code], [[], "", 69]);
  }
});

await testEachRuntime("a core that is broken is reported, and ends the script", async (it) => {
  const packed = packCore("x".repeat(1000));
  const broken = packed.map((byte, index) => index < 8 ? byte : byte ^ 0x55);
  const throwing = packCore("throw new Error('Thrown by the core')");
  const wrong = packCore("const = 1");
  for (
    const [bytes, complaint] of [[broken, /\w/], [throwing, /Thrown by the core/], [wrong, /SyntaxError/]] as const
  ) {
    const { said, stderr, code } = await bootWith(evalArgs(it, getBios()), { bytes });
    assertMatch(stderr, complaint);
    assertEquals(said, []);
    assert(code !== 0 && code !== 69, `exited with ${code}`);
  }
});

await testEachRuntime("text before the length is skipped in blocks of eight", async (it) => {
  const noise = text.encode("no numbr-0000001     NaN00000000        0x0x0x0x");
  const { said, code } = await bootWith(evalArgs(it, getBios()), {
    bytes: joinBytes(noise, SUPERBLOCK, packCore(reportingCore())),
  });
  assertEquals([said.length, code], [2, 0]);
});

await testEachRuntime("an input that does not block is waited for", async (it) => {
  // Whoever shares a pipe can make it so: here a process that ran before, on a copy of the descriptor.
  const { path } = await runtime("node", 24);
  const spoil = `"$0" -e 'new (require("net").Socket)({fd:5});process.reallyExit()' 5<&0;exec "$@"`;
  // What our core does is not meant for such descriptors: it only says hello.
  const core = reportingCore("return;");
  const args = ["sh", "-c", spoil, path, ...evalArgs(it, getBios())];
  const { said, stderr, code } = await bootWith(args, { core, delay: 500 });
  assertEquals([said.length, stderr, code], [1, "", 0]);
});

const SHELLS = ["sh", "bash", "dash", "zsh", "ksh", "mksh", "fish", "busybox sh"];

async function hasShell(shell: string): Promise<boolean> {
  const [program, ...args] = shell.split(" ");
  try {
    return (await new Deno.Command(program!, { args: [...args, "-c", "true"] }).output()).success;
  } catch {
    return false;
  }
}

for (const shell of SHELLS) {
  const ignore = !await hasShell(shell);
  Deno.test({
    name: `the script stands unquoted in a command of ${shell}`,
    ignore,
    fn: async () => {
      const [program, ...args] = shell.split(" ");
      for (const it of [await runtime("deno"), await runtime("node"), await runtime("bun")]) {
        const command = evalArgs(it, getBios()).join(" ");
        const { said, stderr, code } = await bootWith([program!, ...args, "-c", command]);
        assertEquals([said.length, stderr, code], [2, "", 0], it.name);
      }
    },
  });
}

await testEachRuntime("neither a home nor a cache can be written", async (it) => {
  // Not even root can write to /proc.
  for (const HOME of ["/proc", "/proc/nowhere"]) {
    for (const args of [evalArgs(it, getBios()), biosCommand({ runtime: it.path })]) {
      const { said, code, stderr } = await bootWith(args, {
        env: { HOME, PATH: "/usr/bin:/bin" },
        clearEnv: true,
        cwd: "/",
      });
      assertEquals([said.length, code], [2, 0], stderr);
    }
  }
});

Deno.test("the script is what across-bios prints", async () => {
  const path = new URL("../across_bios.ts", import.meta.url).pathname;
  const { stdout } = await new Deno.Command(Deno.execPath(), { args: ["run", path] }).output();
  assertEquals(new TextDecoder().decode(stdout), getBios() + "\n");
});
