/**
 * `across exec` and `across ping`, and what all commands with targets have in common: deadlines, how many at once, interruption, verbosity.
 *
 * @module
 */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { across, assertCode, bare, CLI, startAcross } from "./support/across.ts";
import { condition, descendants, noLeaks } from "./support/leaks.ts";
import { runtime } from "./support/runtimes.ts";

Deno.test(
  "across exec prints the value of the last expression, under each target where there are several",
  noLeaks(async () => {
    assertEquals(await across("exec", "const a = 40; await a + 2"), { code: 0, out: "42\n", err: "" });
    const { path, version } = await runtime("node", 24);
    const named = await across("exec", "--runtime", path, "--json", "process.version");
    assertCode(named, 0);
    assertEquals(JSON.parse(named.out).value, `v${version}`);
    const several = await across("exec", "'Hi'", "--local", "--command", bare);
    assertCode(several, 0);
    assertEquals(several.out, `${bare}: Hi\nlocal: Hi\n`);
  }),
);

Deno.test(
  "across exec - reads the code from stdin",
  noLeaks(async () => {
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--quiet", CLI, "exec", "-"],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode("const list = [1, 2, 3];\nlist.map((n) => n * 2)"));
    await writer.close();
    const { code, stdout } = await child.output();
    assertEquals([code, new TextDecoder().decode(stdout)], [0, "[ 2, 4, 6 ]\n"]);
  }),
);

Deno.test(
  "a target that takes longer than --timeout fails, others do not",
  noLeaks(async () => {
    const result = await across("exec", "--timeout", "10", "--command", "sleep 60", "--local", "--json", "1");
    assertCode(result, 1);
    const [slow, local] = result.out.trim().split("\n").map((line) => JSON.parse(line));
    assertEquals([slow.target, slow.ok, slow.error.name], ["sleep 60", false, "TimeoutError"]);
    assertEquals([local.target, local.value], ["local", 1]);
  }),
);

Deno.test(
  "--jobs bounds how many targets are visited at once",
  noLeaks(async () => {
    const folder = await Deno.makeTempDir();
    try {
      // Each makes a file while it is at work and tells how many there are.
      const code = `
        const { mkdtempSync, readdirSync, rmdirSync } = await import("node:fs");
        const mine = mkdtempSync(${JSON.stringify(`${folder}/at-work-`)});
        await new Promise((resolve) => setTimeout(resolve, 50));
        const count = readdirSync(${JSON.stringify(folder)}).length;
        rmdirSync(mine);
        count`;
      const targets = Array.from({ length: 4 }, () => ["--command", bare]).flat();
      const result = await across("exec", "--jobs", "1", "--json", ...targets, code);
      assertCode(result, 0);
      assertEquals(result.out.trim().split("\n").map((line) => JSON.parse(line).value), [1, 1, 1, 1]);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  }),
);

const AT_WORK = `
  import("node:fs").then(({ writeSync }) => writeSync(2, "at work\\n"));
  await new Promise((resolve) => setTimeout(resolve, 1e6))`;

for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
  Deno.test(
    `${signal} cancels what runs over there, waits for it, and makes the exit code ${code}`,
    noLeaks(async () => {
      await using running = startAcross("exec", AT_WORK);
      await running.until(/at work/);
      running.child.kill(signal);
      const result = await running.ended();
      assertCode(result, code);
      assertStringIncludes(result.err, "Interrupted");
    }),
  );
}

Deno.test(
  "a second SIGINT kills what does not listen to the first",
  noLeaks(async () => {
    const deaf =
      `import("node:fs").then(({ writeSync }) => { writeSync(2, "at work\\n"); for (;;); }); await new Promise(() => {})`;
    await using running = startAcross("exec", deaf);
    await running.until(/at work/);
    const ends = descendants(running.child.pid).length;
    assert(ends > 0);
    running.child.kill("SIGINT");
    // Two that come too close to each other count as one.
    await condition(() => {
      try {
        running.child.kill("SIGINT");
        return descendants(running.child.pid).length === 0;
      } catch {
        return true;
      }
    }, "it is killed");
    assertCode(await running.ended(), 130);
  }),
);

Deno.test(
  "across exec and across ping exit with 2 when the command line is wrong",
  noLeaks(async () => {
    const cases: readonly (readonly [message: string, ...args: string[]])[] = [
      ["There is no code", "exec"],
      ["takes one piece of code", "exec", "1", "2"],
      ['"--jobs" needs a number', "exec", "--jobs", "none", "1"],
      ['"--timeout" needs a number', "exec", "--timeout", "0", "1"],
      ['"--tcp" needs HOST:PORT', "exec", "--tcp", "::1:80", "1"],
      ['"--tcp" needs HOST:PORT', "exec", "--tcp", "host:65536", "1"],
      ['"--tcp" needs the port', "exec", "--tcp", "host:0", "1"],
      ['"--ssh" needs a HOST', "exec", "--ssh=-oProxyCommand=true", "1"],
      ["--stdio goes with no other", "exec", "--stdio", "--local", "1"],
      ["code cannot be read from stdin", "exec", "--stdio", "-"],
      ["Cannot read the secret", "exec", "--secret-file", "/there is no such file", "1"],
      ["takes no argument", "ping", "x"],
      ['"--count" needs a number', "ping", "--count", "0"],
    ];
    for (const [message, ...args] of cases) {
      const result = await across(...args);
      assertCode(result, 2);
      assertStringIncludes(result.err, message);
    }
  }),
);

Deno.test(
  "across ping tells runtime, versions, handshake and round trip",
  noLeaks(async () => {
    const { path, version } = await runtime("node", 22);
    const text = await across("ping", "--runtime", path);
    assertCode(text, 0);
    assertMatch(
      text.out,
      /^node \S+ on \S+, process \d+, across \S+: handshake [\d.]+ ms, round trip [\d.]+ ms \([\d.]+ to [\d.]+\)\n$/,
    );
    const { value } = JSON.parse((await across("ping", "--json", "--count", "3", "--runtime", path)).out);
    assertEquals([value.runtime, value.version], ["node", version]);
    assert(value.fastest <= value.roundTrip && value.roundTrip <= value.slowest);
  }),
);

Deno.test(
  "-v tells what happens to connections",
  noLeaks(async () => {
    const { code, out, err } = await across("exec", "-v", "1");
    assertEquals([code, out], [0, "1\n"]);
    assertMatch(err, /^across \d+: connected to host/m);
    assertMatch((await across("exec", "-vv", "1")).err, /sent message of kind \d+, \d+ bytes/);
  }),
);

Deno.test(
  "a reader of the results that has seen enough ends the command, quietly",
  noLeaks(async () => {
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--quiet", CLI, "exec", "'line\\n'.repeat(1e6)"],
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const err = new Response(child.stderr).text();
    const reader = child.stdout.getReader();
    await reader.read();
    await reader.cancel();
    assertEquals([(await child.status).code, await err], [141, ""]);
  }),
);

Deno.test(
  "--json prints a line whatever comes back",
  noLeaks(async () => {
    const code = `
      const self = { n: 1n, date: new Date(0), map: new Map([["a", new Uint8Array([1, 2])]]) };
      self.self = self;
      [self, () => 1, { toJSON: () => 2 }, new URL("http://host/"), new Number(3), [,, 4]]`;
    const value = await across("exec", "--json", code);
    assertCode(value, 0);
    const self = { n: "1", date: "1970-01-01T00:00:00.000Z", map: [["a", "AQI="]], self: "[Circular]" };
    assertEquals(
      JSON.parse(value.out).value,
      [self, "Remote <function>", { toJSON: "Remote <toJSON>" }, "http://host/", 3, [null, null, 4]],
    );
    const failure = await across("exec", "--json", `const e = new Error("x"); e.more = [e.cause = e]; throw e`);
    assertCode(failure, 1);
    assertEquals(
      JSON.parse(failure.out).error,
      { more: ["[Circular]"], name: "Error", message: "x", cause: "[Circular]" },
    );
  }),
);
