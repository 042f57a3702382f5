/**
 * `across serve` and the targets that reach it, and shell completions.
 *
 * @module
 */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { FLAGS } from "../cli/completions.ts";
import { across, assertCode, shell, startAcross } from "./support/across.ts";
import { noLeaks } from "./support/leaks.ts";

const FIXTURE = fromFileUrl(new URL("./fixtures/command.ts", import.meta.url));

async function withFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

for (const handler of ["bios", "process", "local"]) {
  Deno.test(
    `across serve --handler ${handler} serves TCP and Unix sockets until SIGINT`,
    noLeaks(() =>
      withFolder(async (folder) => {
        const path = join(folder, "socket");
        await using server = startAcross("serve", "--tcp", "127.0.0.1:0", "--unix", path, "--handler", handler);
        const [, address] = await server.until(/listening on tcp (\S+)\n/);
        await server.until(/listening on unix/);
        const calls = await across("exec", "--tcp", address!, "--unix", path, "--json", "1 + 1");
        assertCode(calls, 0);
        assertEquals(calls.out.trim().split("\n").map((line) => JSON.parse(line).value), [2, 2]);
        if (handler !== "local") {
          const run = await across("run", "--tcp", address!, "--export", "add", FIXTURE, "1", "2");
          assertEquals([run.code, run.out], [0, "3\n"], run.err);
        }
        assertCode(await across("ping", "--unix", path), 0);
        server.child.kill("SIGINT");
        assertCode(await server.ended(), 0);
      })
    ),
  );
}

Deno.test(
  "across serve --secret-file lets nobody in who does not know it",
  noLeaks(() =>
    withFolder(async (folder) => {
      const right = join(folder, "right"), wrong = join(folder, "wrong");
      await Deno.writeTextFile(right, "open sesame\n", { mode: 0o600 });
      await Deno.writeTextFile(wrong, "open barley\n", { mode: 0o600 });
      await using server = startAcross("serve", "--tcp", "127.0.0.1:0", "--secret-file", right);
      const [, address] = await server.until(/listening on tcp (\S+)\n/);
      assertEquals((await across("exec", "--tcp", address!, "--secret-file", right, "7")).out, "7\n");
      for (const secret of [["--secret-file", wrong], []]) {
        const refused = await across("exec", "--tcp", address!, ...secret, "--timeout", "20", "7");
        assertCode(refused, 1);
        assert(!refused.err.includes("open"), refused.err);
      }
      server.child.kill("SIGTERM");
      assertCode(await server.ended(), 0);
    })
  ),
);

Deno.test(
  "--secret-file refuses a file that other users may read",
  noLeaks(() =>
    withFolder(async (folder) => {
      const file = join(folder, "secret");
      await Deno.writeTextFile(file, "open sesame\n");
      for (const mode of [0o644, 0o640, 0o604]) {
        await Deno.chmod(file, mode);
        for (const args of [["serve", "--tcp", "127.0.0.1:0"], ["exec", "1", "--tcp", "127.0.0.1:1"]]) {
          const result = await across(...args, "--secret-file", file);
          assertCode(result, 2);
          assertStringIncludes(result.err, "Others may read the secret");
          assert(!result.err.includes("sesame"));
        }
      }
    })
  ),
);

Deno.test(
  "across serve --stdio is reached by --command",
  noLeaks(async () => {
    const cli = fromFileUrl(new URL("../cli.ts", import.meta.url));
    const command = `${shell(Deno.execPath())} run -A --quiet ${shell(cli)} serve --stdio`;
    assertEquals(await across("exec", "--command", command, "6 * 7"), { code: 0, out: "42\n", err: "" });
  }),
);

Deno.test(
  "across serve refuses to listen beyond this machine without a secret, and says why it cannot listen",
  noLeaks(async () => {
    const open = await across("serve", "--tcp", "0.0.0.0:0");
    assertCode(open, 1);
    assertStringIncludes(open.err, "secret");
    const elsewhere = await across("serve", "--unix", "/there is no such folder/socket");
    assertCode(elsewhere, 1);
    assertMatch(elsewhere.err, /^error: /m);
  }),
);

Deno.test(
  "across serve exits with 2 when the command line is wrong",
  noLeaks(async () => {
    const cases: readonly (readonly [message: string, ...args: string[]])[] = [
      ["There is nowhere to listen"],
      ['There is no handler "toString"', "--tcp", "127.0.0.1:0", "--handler", "toString"],
      ["TLS needs both", "--tcp", "127.0.0.1:0", "--cert", FIXTURE],
      ["Cannot read what --key names", "--tcp", "127.0.0.1:0", "--key", "/there is no such file"],
      ["goes with no other place", "--stdio", "--tcp", "127.0.0.1:0"],
      ['"--max-connections" needs a number', "--tcp", "127.0.0.1:0", "--max-connections", "0"],
      ["takes no argument", "x"],
    ];
    for (const [message, ...args] of cases) {
      const result = await across("serve", ...args);
      assertCode(result, 2);
      assertStringIncludes(result.err, message);
    }
  }),
);

Deno.test(
  "completions know the flags that the help texts have",
  noLeaks(async () => {
    for (const [command, flags] of Object.entries(FLAGS)) {
      const { out } = await across(command, "--help");
      const told = new Set([...out.matchAll(/^ {2}.*?--([\w-]+)/gm)].map(([, flag]) => flag!));
      for (const [, flag] of out.matchAll(/, --([\w-]+)/g)) told.add(flag!);
      for (const flag of told) assert(flags.includes(flag) || !/^ {2}-/m.test(out), `${command}: --${flag} is missing`);
      for (const flag of flags.filter((it) => it !== "verbose" && it !== "help")) {
        assertStringIncludes(out, `--${flag}`, command);
      }
    }
  }),
);

/** What bash would complete the last word to. */
async function completed(...words: string[]): Promise<string[]> {
  const { out } = await across("completions", "bash");
  const script = `${out}\nCOMP_WORDS=(${words.map(shell).join(" ")}) COMP_CWORD=${words.length - 1}; _across
    printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { code, stdout } = await new Deno.Command("bash", { args: ["-c", script] }).output();
  assertEquals(code, 0);
  return new TextDecoder().decode(stdout).trim().split("\n");
}

const hasBash = await new Deno.Command("sh", { args: ["-c", "command -v bash"], stdout: "null" }).output()
  .then((it) => it.success, () => false);

Deno.test(
  "bash completes commands, flags and the words that they take",
  { ignore: !hasBash },
  noLeaks(async () => {
    assertEquals(await completed("across", "e"), ["exec"]);
    assertEquals(await completed("across", "serve", "--ha"), ["--handler"]);
    assertEquals(await completed("across", "serve", "--handler", "p"), ["process"]);
    assertEquals(await completed("across", "run", "--runtime", ""), ["deno", "node", "bun"]);
    assertCode(await across("completions", "tcsh"), 2);
    for (const kind of ["zsh", "fish"]) {
      assertStringIncludes((await across("completions", kind)).out, "max-connections");
    }
  }),
);
