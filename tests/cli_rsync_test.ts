// across rsync as a process of its own: what is copied, what is printed where, exit codes.

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { partOf } from "../cli/rsync.ts";
import { biosCommand } from "../mod.ts";
import { across, acrossWith, assertCode, CLI, shell, startAcross } from "./support/across.ts";
import { runtime } from "./support/runtimes.ts";
import { sshdMissing, startSshd } from "./support/sshd.ts";
import { inFolder } from "./support/folder.ts";
import { describe, noise, put } from "./support/trees.ts";

Deno.test(
  "across rsync copies to several directories, and says what it did",
  inFolder(async (folder) => {
    const source = `${folder}/source`;
    await put(`${source}/a/b`, "content");
    await put(`${source}/large`, noise(400_000));
    await put(`${folder}/two/old`, "old");
    const args = ["rsync", source, "--local", `${folder}/one`, "--local", `${folder}/two`, "--delete"];
    const first = await across(...args);
    assertCode(first, 0);
    assertEquals(
      first.out,
      `${folder}/one: 2 files sent (391 KiB of 391 KiB), 0 unchanged\n` +
        `${folder}/two: 2 files sent (391 KiB of 391 KiB), 0 unchanged, 1 deleted\n`,
    );
    assertEquals(first.err, "");
    for (const name of ["one", "two"]) assertEquals(await describe(`${folder}/${name}`), await describe(source));
    const second = await across(...args, "--json");
    assertCode(second, 0);
    const lines = second.out.trim().split("\n").map((line) => JSON.parse(line));
    assertEquals(
      lines.map(({ ms: _, ...line }) => line),
      ["one", "two"].map((name) => ({
        target: `${folder}/${name}`,
        ok: true,
        sent: 0,
        unchanged: 2,
        deleted: 0,
        failed: 0,
        sentBytes: 0,
        totalBytes: 400_007,
      })),
    );
    await put(`${source}/c`, "new");
    assertStringIncludes((await across(...args, "-v")).err, `${folder}/one: c sent\n`);
  }),
);

Deno.test(
  "across rsync exits with 1 when a file or a target fails, with 2 when the command line is wrong",
  inFolder(async (folder) => {
    const source = `${folder}/source`;
    await put(`${source}/a`, "a");
    await put(`${source}/b`, "b");
    await put(`${folder}/copy/a/in/the/way`, "old");
    const result = await across("rsync", source, "--local", `${folder}/copy`, "--local", `${source}/a/below`, "--json");
    assertCode(result, 1);
    const [one, two] = result.out.trim().split("\n").map((line) => JSON.parse(line));
    assertEquals([one.ok, one.sent, one.failed, one.errors[0].path], [false, 1, 1, "a"]);
    assertEquals([two.ok, typeof two.error.message], [false, "string"]);
    const told = await across("rsync", source, "--local", `${folder}/copy`);
    assertCode(told, 1);
    assertMatch(told.err, /Cannot copy "a" to .*pass delete/);
    for (
      const [text, ...args] of [
        ["no directory to copy"],
        ["takes one directory", source, "again", "--local", folder],
        ["Cannot find directory", `${folder}/nowhere`, "--local", folder],
        ["There is no target", source],
        ["needs HOST:DEST", source, "--ssh", "host"],
        ["needs HOST:PORT:DEST", source, "--tcp", "host:/x"],
        ["needs SOCKET:DEST", source, "--unix", "/run/across"],
        ["needs CMD:DEST", source, "--command", "ssh host"],
        ["given twice", source, "--local", folder, "--local", folder],
        ['Unknown flag "--deleet"', source, "--deleet"],
      ] as const
    ) {
      const { code, err } = await across("rsync", ...args);
      assertEquals(code, 2, err);
      assertStringIncludes(err, text);
    }
  }),
);

Deno.test("across rsync parts targets from directories", () => {
  assertEquals(partOf("ssh", "host:dir"), ["host", "dir"]);
  assertEquals(partOf("ssh", "me@host:/srv/a:b"), ["me@host", "/srv/a:b"]);
  assertEquals(partOf("ssh", "me@[::1]:/srv"), ["me@[::1]", "/srv"]);
  assertEquals(partOf("ssh", "ssh://me@host:2222/srv/x"), ["ssh://me@host:2222", "/srv/x"]);
  assertEquals(partOf("tcp", "host:1865:/srv"), ["host:1865", "/srv"]);
  assertEquals(partOf("tcp", "[::1]:1865:dir"), ["[::1]:1865", "dir"]);
  assertEquals(partOf("unix", "/run/across:/srv/a:b"), ["/run/across", "/srv/a:b"]);
  assertEquals(partOf("command", "run image:tag:/srv"), ["run image:tag", "/srv"]);
});

Deno.test(
  "across rsync copies to servers and to what commands start, several at once",
  inFolder(async (folder) => {
    const source = `${folder}/source`, socket = `${folder}/socket`;
    await put(`${source}/a/b`, "content");
    await put(`${source}/large`, noise(400_000));
    await using server = startAcross("serve", "--tcp", "127.0.0.1:0", "--unix", socket);
    const [, address] = await server.until(/listening on tcp (\S+)\n/);
    await server.until(/listening on unix/);
    const { path } = await runtime("node", 20);
    const command = biosCommand({ runtime: path }).map(shell).join(" ");
    const targets = [["--tcp", `${address}:${folder}/tcp`], ["--unix", `${socket}:${folder}/unix`]];
    targets.push(["--command", `${command}:${folder}/command`], ["--command", `exit 7:${folder}/none`]);
    const result = await across("rsync", source, ...targets.flat(), "--json");
    assertCode(result, 1);
    const lines = result.out.trim().split("\n").map((line) => JSON.parse(line));
    assertEquals(lines.map(({ ok, sent }) => [ok, sent]), [[true, 2], [true, 2], [true, 2], [false, 0]]);
    assertMatch(lines[3].error.message, /status 7/);
    const expected = await describe(source);
    for (const name of ["tcp", "unix", "command"]) assertEquals(await describe(`${folder}/${name}`), expected);
  }),
);

const noSsh = await sshdMissing();

Deno.test(
  `across rsync --ssh copies to the machine that ssh knows${noSsh === undefined ? "" : ` [${noSsh}]`}`,
  { ignore: noSsh !== undefined && Deno.env.get("CI") !== "true" },
  inFolder(async (folder) => {
    const { path } = await runtime("node", 20);
    await using sshd = await startSshd({ interpreters: { node: path } });
    const args = sshd.sshArgs.map(shell).join(" ");
    await Deno.mkdir(`${folder}/bin`);
    await Deno.writeTextFile(`${folder}/bin/ssh`, `#!/bin/sh\nPATH=\${PATH#*:}\nexec ssh ${args} "$@"\n`, {
      mode: 0o755,
    });
    await put(`${folder}/source/a`, "over ssh");
    const env = { PATH: `${folder}/bin:${Deno.env.get("PATH")}` };
    const result = await acrossWith(env, "rsync", `${folder}/source`, "--ssh", `${sshd.destination}:${folder}/copy`);
    assertCode(result, 0);
    assertEquals(await describe(`${folder}/copy`), await describe(`${folder}/source`));
  }),
);

const hasScript = await new Deno.Command("sh", { args: ["-c", "command -v script"], stdout: "null" }).output()
  .then((it) => it.success, () => false);

Deno.test(
  "across rsync shows a bar on a terminal only, of the slowest target where more do not fit",
  { ignore: Deno.build.os !== "linux" || !hasScript },
  inFolder(async (folder) => {
    await put(`${folder}/source/large`, noise(8 << 20));
    const onTerminal = async (env: Record<string, string>, ...names: string[]): Promise<string> => {
      const args = [CLI, "rsync", `${folder}/source`, ...names.flatMap((name) => ["--local", `${folder}/${name}`])];
      const { stdout } = await new Deno.Command("script", {
        args: ["-qec", [Deno.execPath(), "run", "-A", "--quiet", ...args].map(shell).join(" "), "/dev/null"],
        env: { TERM: "xterm", ...env },
        stdin: "null",
      }).output();
      return new TextDecoder().decode(stdout);
    };
    const alone = await onTerminal({ NO_COLOR: "1" }, "one");
    assertMatch(alone, /\[[#-]{20}\] \d+%|\[-{20}\] listing/);
    assertMatch(alone, /one: 1 files sent/);
    // The only sequences are those that clear the line; with colours the name of the target is bold, too.
    // deno-lint-ignore no-control-regex -- escape sequences are what it is about
    assertEquals(alone.replaceAll("\x1b[K", "").match(/\x1b/), null);
    assertStringIncludes(await onTerminal({ NO_COLOR: "" }, "one"), `\x1b[1m${folder}/one\x1b[22m`);
    assertStringIncludes(await onTerminal({ NO_COLOR: "1" }, "a", "b", "c"), "3 targets, slowest ");
  }),
);
