/**
 * The command line of ssh, run by login shells on this machine: finding an interpreter, quoting, environment, and what is refused. Connections over a
 * real sshd are tested elsewhere.
 *
 * @module
 */

import { assert, assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import type { SshInit } from "../bios/ssh.ts";
import { sshCommand } from "../bios/ssh.ts";
import { runtime, testEachRuntime } from "./support/runtimes.ts";
import type { Booted, BootInit } from "./support/stage_1.ts";
import { bootWith, isGreeting, reportingCore } from "./support/stage_1.ts";

/** A machine without network: what stands for `ssh` has the command parsed by a login shell right here. */
interface Machine {
  readonly home: string;
  /** Puts a program somewhere below the home. */
  install(path: string, program: string): Promise<void>;
  boot(init: SshInit, boot?: BootInit & { login?: string }): Promise<Booted>;
}

/** Where the tools are that a login has in any case. */
const TOOLS = ["sh", "env", "cat", "echo"];

async function withMachine(body: (machine: Machine) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "across-machine-" });
  const home = `${folder}/it's home`;
  const install = async (path: string, program: string): Promise<void> => {
    const file = `${home}/${path}`;
    await Deno.mkdir(file.slice(0, file.lastIndexOf("/")), { recursive: true });
    if (program.startsWith("#!")) await Deno.writeTextFile(file, program, { mode: 0o755 });
    else await Deno.symlink(program, file);
  };
  try {
    for (const tool of TOOLS) await install(`tools/${tool}`, await which(tool));
    const stub = `${folder}/ssh`;
    const paths = `PATH='${home.replaceAll("'", `'\\''`)}/bin:${home.replaceAll("'", `'\\''`)}/tools'`;
    await Deno.writeTextFile(
      stub,
      `#!/bin/sh\nfor command do :;done\nexport ${paths};cd "$HOME";exec $LOGIN -c "$command"\n`,
      { mode: 0o755 },
    );
    await body({
      home,
      install,
      boot: (init, { login = "/bin/sh", ...boot } = {}) =>
        bootWith(sshCommand("wonderland", { sshCommand: stub, ...init }), {
          clearEnv: true,
          ...boot,
          env: { HOME: home, LOGIN: login },
        }),
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function which(program: string): Promise<string> {
  for (const folder of ["/bin", "/usr/bin"]) {
    const path = `${folder}/${program}`;
    if (await Deno.stat(path).then(() => true, () => false)) return path;
  }
  throw new Error(`There is no ${program}`);
}

/** An interpreter that says it is another version, and would take what is on its stdin if it could. */
const fake = (version: string): string => `#!/bin/sh\ncat >/dev/null\necho "${version}"\n`;

function assertBooted({ greeting, said, stderr, code }: Booted, name: string): void {
  assert(isGreeting(greeting) && greeting.includes(` ${name} `), `${greeting}${stderr}`);
  assertEquals([said.length, said[0]?.input, said[0]?.output, stderr, code], [2, 4, 3, "", 0]);
}

await testEachRuntime(
  "sshCommand() finds an interpreter in PATH and moves the wire",
  (it) =>
    withMachine(async ({ install, boot, home }) => {
      await install(`bin/${it.name}`, it.path);
      const prints = `console.log("printed"); say({ cwd: D ? D.cwd() : process.cwd() });`;
      const { greeting, said, stderr, code, pid } = await boot({}, { core: reportingCore(prints) });
      assertEquals(greeting, `~across1 ${it.name} ${it.version}~`);
      // Stub, login shell and shell are all gone.
      assertEquals([said[0]?.pid, said[0]?.output, said[1]], [pid, 3, { cwd: home }]);
      assertEquals([stderr, code], ["printed\n", 0]);
    }),
);

const SHELLS = ["sh", "bash", "dash", "zsh", "ksh", "mksh", "busybox sh", "fish", "tcsh"];

for (const shell of SHELLS) {
  const path = await which(shell.split(" ")[0]!).catch(() => "");
  Deno.test({
    name: `sshCommand() passes through ${shell}, hostile values too`,
    ignore: path === "",
    fn: () =>
      withMachine(async ({ install, boot, home }) => {
        await install("bin/deno", (await runtime("deno")).path);
        const login = [path, ...shell.split(" ").slice(1)].join(" ");
        const cwd = `a "folder" with 'quotes', \\ $HOME \`id\` !x * ;&|<>(){}[]~#%\nand a line of its own\n`;
        await Deno.mkdir(`${home}/${cwd}`);
        const env = { A: cwd, B_2: "", _C: "-n", D: "'", E: "\\", F: "!!\\!", G: "\n", H: "é€😀\t\u0001" };
        const core = reportingCore(`
          const env = {};
          for (const name of ["A", "B_2", "_C", "D", "E", "F", "G", "H"]) env[name] = D.env.get(name);
          say({ env, cwd: D.cwd() });`);
        const { said, stderr, code } = await boot({ cwd, env }, { core, login });
        assertEquals(said[1], { env, cwd: `${home}/${cwd}` }, stderr);
        assertEquals([said[0]?.output, stderr, code], [3, "", 0]);
        // Their own idea of where things are must not matter.
        const sandboxed = await boot({ permissions: { read: [`/a 'b" $c !d\\e`] } }, { login });
        assertEquals([sandboxed.said.length, sandboxed.stderr, sandboxed.code], [2, "", 0]);
      }),
  });
}

Deno.test("sshCommand() prefers deno, then node, then bun, and passes over what is too old", () =>
  withMachine(async ({ install, boot, home }) => {
    const [deno, node, bun] = [await runtime("deno"), await runtime("node"), await runtime("bun")];
    await install("bin/bun", bun.path);
    assertBooted(await boot({}), "bun");
    await install(".nvm/versions/node/v20.1.0/bin/node", fake("v20.1.0 is not asked"));
    await install(".nvm/versions/node/v22.9.1/bin/node", node.path);
    await install(".nvm/versions/node/v9.9.9/bin/node", fake("v9.9.9"));
    assertBooted(await boot({}), "bun"); // PATH comes first
    assertBooted(await boot({ runtime: "node" }), "node");
    await install("bin/node", fake("v18.20.8"));
    await install("bin/deno", fake("deno 1.46.3 (stable)"));
    assertBooted(await boot({}), "bun");
    assertBooted(await boot({ runtime: "node" }), "node"); // the one of nvm
    await install(".deno/bin/deno", deno.path);
    assertBooted(await boot({ runtime: "deno" }), "deno");
    await Deno.remove(`${home}/bin/deno`);
    await Deno.remove(`${home}/bin/bun`);
    assertBooted(await boot({}), "deno");
  }));

Deno.test("sshCommand() takes the path of an interpreter", () =>
  withMachine(async ({ install, boot, home }) => {
    const { path } = await runtime("node", 20);
    await install("opt/it's js", path);
    assertBooted(await boot({ runtime: `${home}/opt/it's js` }), "node");
    const { stderr, code } = await boot({ runtime: "/nowhere/deno" });
    assertEquals(code, 127);
    assertStringIncludes(stderr, "across: Cannot use /nowhere/deno");
  }));

Deno.test("where there is no interpreter, the end says which places it looked in, and exits with 127", () =>
  withMachine(async ({ boot, install, home }) => {
    await install("bin/node", fake("v18.20.8"));
    const { greeting, stderr, code } = await boot({});
    // Unless this machine has one where everybody looks.
    if (isGreeting(greeting)) return;
    assertEquals([greeting, code], ["", 127]);
    assertMatch(stderr, /^across: Found no deno \(2 or newer\), node \(20 or newer\), bun in PATH \(.*\) or in .*\n$/);
    for (const place of [`${home}/bin`, "/usr/local/bin", `${home}/.deno/bin`, `${home}/.nvm/versions/node`]) {
      assertStringIncludes(stderr, place);
    }
    const only = await boot({ runtime: "bun" });
    assertEquals(only.code, 127);
    assertStringIncludes(only.stderr, "Found no bun in PATH");
  }));

Deno.test("sshCommand() sets working directory and environment, and clears it", () =>
  withMachine(async ({ install, boot, home }) => {
    await install("bin/deno", (await runtime("deno")).path);
    await Deno.mkdir(`${home}/-x`);
    const core = reportingCore(`say({ cwd: D.cwd(), env: D.env.toObject() });`);
    const relative = await boot({ cwd: "-x", env: { A: "1" } }, { core });
    assertEquals(relative.said[1]?.cwd, `${home}/-x`);
    const absolute = await boot({ cwd: new URL(`file://${home}/-x`), env: { A: "1" }, clearEnv: true }, { core });
    assertEquals(absolute.said[1]?.cwd, `${home}/-x`);
    const { A, HOME, LOGIN, NO_COLOR } = absolute.said[1]?.env as Record<string, string>;
    assertEquals([A, HOME, LOGIN, NO_COLOR], ["1", home, undefined, undefined]);
    assertEquals((relative.said[1]?.env as Record<string, string>).LOGIN, "/bin/sh");
    const { greeting, code, stderr } = await boot({ cwd: "/there is no such folder" });
    assert(code !== 0 && code !== 127 && greeting === "", stderr);
    assertStringIncludes(stderr, "/there is no such folder");
  }));

Deno.test("sshCommand() keeps permissions", () =>
  withMachine(async ({ install, boot, home }) => {
    const { path } = await runtime("deno");
    await install("bin/node", (await runtime("node")).path);
    await install("bin/deno", path);
    await Deno.writeTextFile(`${home}/a file`, "text");
    const core = reportingCore(`
      const attempt = (path) => { try { return D.readTextFileSync(path) } catch (error) { return error.name } };
      say({ own: attempt(${JSON.stringify(`${home}/a file`)}), other: attempt("/etc/hostname") });`);
    for (const init of [{ permissions: {} }, { permissions: { read: [`${home}/a file`] }, runtime: path }]) {
      const { said, stderr, code } = await boot(init, { core });
      const own = "read" in init.permissions ? "text" : "NotCapable";
      assertEquals(said[1], { own, other: "NotCapable" }, stderr);
      assertEquals([said[0]?.input, code], [0, 0]);
    }
  }));

Deno.test("the command line of ssh", () => {
  const args = sshCommand("user@host", { sshArgs: ["-p", "2222"], runtime: "node" });
  assertEquals(args.slice(0, 3), ["ssh", "-p", "2222"]);
  assertEquals(
    args.slice(3, -1).join(" "),
    [
      "-T -x -o Compression=no -o ServerAliveInterval=15 -o ServerAliveCountMax=3 -- user@host",
    ].join(" "),
  );
  assertEquals(args.filter((arg) => arg.includes("\n")), []);
  assertMatch(args.at(-1)!, /^exec sh -c '.*' sh '.*'$/);
  assert(sshCommand("host").join(" ").length < 3000);
  assertEquals(sshCommand("host", { sshCommand: "/opt/ssh" })[0], "/opt/ssh");
});

Deno.test("sshCommand() refuses what makes no sense", () => {
  const refused = (destination: string, init: object, complaint: string) =>
    assertThrows(() => sshCommand(destination, init), TypeError, complaint);
  refused("-oProxyCommand=id", {}, 'Cannot connect to "-oProxyCommand=id"');
  refused("", {}, 'Cannot connect to "": a destination is not empty and does not start with "-"');
  refused("a\0b", {}, "as destination: pass a string without NUL");
  refused("host", { sshArgs: [5] }, "Cannot use 5 as sshArgs");
  refused("host", { env: { "A B": "" } }, 'Cannot set environment variable "A B"');
  refused("host", { env: { "X=Y;id": "" } }, 'Cannot set environment variable "X=Y;id"');
  refused("host", { env: { A: "\0" } }, "as value of environment variable A");
  refused("host", { cwd: new URL("http://host/") }, "pass a path or file: URL");
  refused("host", { cwd: "" }, "cwd");
  refused("host", { permissions: {}, runtime: "node" }, "only deno has them");
  refused("host", { runtime: "-x" }, 'Cannot start runtime "-x"');
  assertThrows(
    () => sshCommand("host", { env: { A: "x".repeat(130_000) } }),
    RangeError,
    'to "host": all of env and cwd must stay below',
  );
});
