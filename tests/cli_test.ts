// The across command, as a process of its own: usage, what it prints where, exit codes.

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { getBios } from "../mod.ts";
import { VERSION } from "../protocol/version.ts";
import { across, acrossWith, bare, CLI, shell } from "./support/across.ts";
import { noLeaks } from "./support/leaks.ts";
import { runtime } from "./support/runtimes.ts";
import { sshdMissing, startSshd } from "./support/sshd.ts";

const FIXTURE = fromFileUrl(new URL("./fixtures/command.ts", import.meta.url));

Deno.test(
  "across --help and --version print to stdout",
  noLeaks(async () => {
    const help = await across("--help");
    assertEquals([help.code, help.err], [0, ""]);
    assertStringIncludes(help.out, "Usage: across COMMAND");
    assertEquals(await across("--version"), { code: 0, out: `across ${VERSION}\n`, err: "" });
    assertStringIncludes((await across("run", "--help")).out, "Usage: across run");
    assertStringIncludes((await across("bios", "-h")).out, "Usage: across bios");
  }),
);

Deno.test(
  "across exits with 2 when the command line is wrong",
  noLeaks(async () => {
    const cases: readonly (readonly [message: string, ...args: string[]])[] = [
      ["There is no command"],
      ['There is no command "fly"', "fly"],
      ["There is no module to run", "run"],
      ['Unknown flag "--shh"', "run", "--shh", "a", FIXTURE],
      ['Unknown flag "-x"', "bios", "-x"],
      ["takes no argument", "bios", "x"],
      ['Flag "--ssh" needs a value', "run", "--ssh=", FIXTURE],
      ["Cannot find module", "run", "/nowhere.ts"],
      ['exports no function "nothing": there is add, default', "run", "--export", "nothing", FIXTURE],
    ];
    for (const [message, ...args] of cases) {
      const { code, out, err } = await across(...args);
      assertEquals([code, out], [2, ""], err);
      assertStringIncludes(err, message);
    }
  }),
);

Deno.test(
  "across run exits with 1 when the module cannot be loaded, and says where it failed",
  noLeaks(async () => {
    const folder = await Deno.makeTempDir();
    try {
      const path = `${folder}/broken.ts`;
      await Deno.writeTextFile(path, `throw new RangeError("Out of cheese");`);
      const { code, out, err } = await across("run", path);
      assertEquals([code, out], [1, ""], err);
      assertMatch(err, /^error: RangeError: Out of cheese\n {4}at .*broken\.ts:1:7\n$/);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  }),
);

Deno.test(
  "across bios prints the script, as across-bios does",
  noLeaks(async () => {
    assertEquals(await across("bios"), { code: 0, out: `${getBios()}\n`, err: "" });
    const script = fromFileUrl(new URL("../across_bios.ts", import.meta.url));
    const { stdout } = await new Deno.Command(Deno.execPath(), { args: ["run", "--quiet", script] }).output();
    assertEquals(new TextDecoder().decode(stdout), `${getBios()}\n`);
  }),
);

Deno.test(
  "across run calls the default export with strings, here when there is no target",
  noLeaks(async () => {
    const { code, out, err } = await across("run", FIXTURE, "007", "--json", "x y");
    assertEquals([code, out], [0, "007|--json|x y\n"], err);
  }),
);

Deno.test(
  "across run --runtime and --export choose interpreter and function",
  noLeaks(async () => {
    const { path, version } = await runtime("node", 24);
    const { code, out, err } = await across("run", "--runtime", path, "--export", "interpreter", FIXTURE);
    assertEquals([code, out], [0, `node ${version}\n`], err);
  }),
);

Deno.test(
  "across run prints a result per target, in their order, and fails when one of them does",
  noLeaks(async () => {
    const { code, out, err } = await across(
      "run",
      "--command",
      bare,
      "--command",
      "echo it is broken >&2; exit 7",
      "--export",
      "add",
      FIXTURE,
      "1",
      "2",
    );
    assertEquals(code, 1);
    assertEquals(out, `${bare}: 3\n`);
    assertStringIncludes(err, "it is broken");
    assertMatch(err, /status 7/);
  }),
);

Deno.test(
  "across run --json prints a line per target",
  noLeaks(async () => {
    const { code, out } = await across(
      "run",
      "--json",
      "--command",
      bare,
      "--command",
      "exit 7",
      "--export",
      "values",
      FIXTURE,
    );
    assertEquals(code, 1);
    const [first, second, ...rest] = out.trim().split("\n").map((line) => JSON.parse(line));
    assertEquals(rest, []);
    assertEquals({ ...first, ms: 0 }, {
      target: bare,
      ok: true,
      ms: 0,
      value: { big: "12345678901234567890", map: [["a", 1]], bytes: "AQID", date: "1970-01-01T00:00:00.000Z" },
    });
    assertEquals([second.target, second.ok], ["exit 7", false]);
    assert(typeof second.error.message === "string");
  }),
);

Deno.test(
  "across run shows what the function prints and throws on stderr",
  noLeaks(async () => {
    const { code, out, err } = await across("run", "--export", "fail", FIXTURE, "of itself");
    assertEquals([code, out], [1, ""]);
    assertStringIncludes(err, "about to fail\n");
    assertMatch(err, /RangeError: Fails of itself\n[\s\S]*command\.ts:\d+:\d+/);
  }),
);

Deno.test(
  "across run ends with 130 after SIGINT",
  { ignore: Deno.build.os === "windows" },
  noLeaks(async () => {
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--quiet", CLI, "run", "--export", "hang", FIXTURE],
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    const reader = child.stderr.getReader();
    let shown = "";
    while (!shown.includes("hanging")) {
      const { value, done } = await reader.read();
      assert(!done, shown);
      shown += new TextDecoder().decode(value);
    }
    child.kill("SIGINT");
    assertEquals((await child.status).code, 130);
    await reader.cancel();
  }),
);

const noSsh = await sshdMissing();

Deno.test(
  `across run --ssh runs on the machine that ssh knows${noSsh === undefined ? "" : ` [${noSsh}]`}`,
  {
    ignore: noSsh !== undefined && Deno.env.get("CI") !== "true",
  },
  noLeaks(async () => {
    const { path, version } = await runtime("node", 20);
    await using sshd = await startSshd({ banner: "Welcome\n", interpreters: { node: path } });
    const folder = await Deno.makeTempDir();
    try {
      // The ssh that the command finds first knows our server and its keys.
      const args = sshd.sshArgs.map(shell).join(" ");
      await Deno.writeTextFile(`${folder}/ssh`, `#!/bin/sh\nPATH=\${PATH#*:}\nexec ssh ${args} "$@"\n`, {
        mode: 0o755,
      });
      const env = { PATH: `${folder}:${Deno.env.get("PATH")}` };
      const run = ["run", "--ssh", sshd.destination, "--export", "interpreter"];
      const found = await acrossWith(env, ...run, FIXTURE);
      assertEquals([found.code, found.out], [0, `node ${version}\n`], found.err);
      const lost = await acrossWith(env, ...run, "--runtime", "/nowhere/bun", FIXTURE);
      assertEquals([lost.code, lost.out], [1, ""]);
      assertStringIncludes(lost.err, "/nowhere/bun");
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  }),
);

const hasScript = await new Deno.Command("sh", { args: ["-c", "command -v script"], stdout: "null" }).output()
  .then((it) => it.success, () => false);

/** What the command prints, stdout and stderr, on a terminal of its own. */
async function onTerminal(env: Record<string, string>, ...args: string[]): Promise<string> {
  const { NO_COLOR: _, ...inherited } = Deno.env.toObject();
  const { stdout } = await new Deno.Command("script", {
    args: ["-qec", [Deno.execPath(), "run", "-A", "--quiet", CLI, ...args].map(shell).join(" "), "/dev/null"],
    env: { ...inherited, TERM: "xterm", ...env },
    clearEnv: true,
    stdin: "null",
  }).output();
  return new TextDecoder().decode(stdout);
}

Deno.test(
  "across shows progress and colours on a terminal only",
  { ignore: Deno.build.os !== "linux" || !hasScript },
  noLeaks(async () => {
    const shown = await onTerminal({}, "run", "--command", bare, FIXTURE, "x", "--twice");
    assertStringIncludes(shown, "0/1 done, waiting for");
    assertStringIncludes(shown, "x|--twice\r\n");
    assertEquals((await across("run", FIXTURE)).err, "");
    assertStringIncludes(await onTerminal({}, "fly"), "\x1b[31merror\x1b[39m: There is no command");
    assert(!(await onTerminal({ NO_COLOR: "1" }, "fly")).includes("\x1b[31m"));
  }),
);
