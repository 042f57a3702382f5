/**
 * Remote ends behind a real `ssh` and a real `sshd` on loopback: every kind of interpreter, what the login shell is like, and how each thing that
 * goes wrong is told. The command line itself is tested in `bios_ssh_test.ts`.
 *
 * @module
 */

import { assert, assertEquals, assertInstanceOf, assertStringIncludes } from "@std/assert";
import { existsSync } from "node:fs";
import { Connection, DisconnectError } from "../mod.ts";
import type { OptionsInit, SshInit } from "../mod.ts";
import { failDeeply, levelOf, report } from "./fixtures/remote/graph/main.ts";
import { travel } from "./fixtures/remote/hops.ts";
import { assertRejects } from "./support/assert_rejects.ts";
import { condition, isAlive, noLeaks } from "./support/leaks.ts";
import { printed, remotePid } from "./support/remote.ts";
import type { Runtime } from "./support/runtimes.ts";
import { evalArgs, runtime, testEachRuntime } from "./support/runtimes.ts";
import type { Sshd, SshdInit } from "./support/sshd.ts";
import { sshdMissing, startSshd } from "./support/sshd.ts";

const missing = await sshdMissing();
const ignore = missing !== undefined && Deno.env.get("CI") !== "true";
if (ignore) console.warn(`ssh_test.ts is ignored: ${missing}`);

const GRAPH = import.meta.resolve("./fixtures/remote/graph/main.ts");
const HOPS = import.meta.resolve("./fixtures/remote/hops.ts");

/** Declares a test with a server of its own. */
function testWithSshd(name: string, init: SshdInit, body: (sshd: Sshd) => Promise<void>): void {
  Deno.test({
    name,
    ignore,
    fn: noLeaks(async () => {
      await using sshd = await startSshd(init);
      await body(sshd);
    }),
  });
}

function connect({ destination, sshArgs }: Sshd, init: OptionsInit & SshInit = {}): Connection {
  return Connection.fromSsh(destination, { sshArgs, ...init });
}

/** What a remote end is used for in all of these tests. */
async function everything(conn: Connection, name?: string): Promise<void> {
  assertEquals(
    await conn.call((n: number, f: (n: number) => Promise<number>) => f(n), 1, (n) => Promise.resolve(n + 1)),
    2,
  );
  await conn.export(GRAPH);
  assertStringIncludes((await conn.call(report, "Ada")).text, "dear Ada");
  const error = await assertRejects(() => conn.call(failDeeply, "far away"), RangeError, "far away");
  assertStringIncludes(error.stack!, "graph/fails.ts:");
  const size = 5 << 20;
  assertEquals((await conn.call((bytes: Uint8Array) => bytes, new Uint8Array(size))).length, size);
  if (name) assertEquals(conn.status().peer?.runtime, name);
}

if (!ignore) {
  await testEachRuntime(
    "fromSsh() boots an interpreter by its path",
    noLeaks(async (it: Runtime) => {
      await using sshd = await startSshd({ shell: "sh" });
      const output = printed();
      const conn = connect(sshd, {
        runtime: it.path,
        cwd: "/tmp",
        env: { ACROSS_TEST: "a 'quoted' $value", HOME: "/proc/nowhere" },
        stderr: output.stderr,
      });
      await everything(conn, it.name);
      const [cwd, value] = await conn.call(async () => {
        const { default: process } = await import("node:process");
        console.log("printed over there");
        return [process.cwd(), process.env["ACROSS_TEST"]];
      });
      assertEquals([cwd, value], ["/tmp", "a 'quoted' $value"]);
      await output.until("printed over there");
      const pid = await remotePid(conn);
      await conn.close();
      await condition(() => !isAlive(pid), "the remote end is gone");
    }),
    ({ name, version }) => name === "bun" || /^(2\.0|2\.9|20|26)\./.test(version),
  );
}

for (
  const [kinds, found] of [[["deno", "node", "bun"], "deno"], [["node", "bun"], "node"], [["bun"], "bun"]] as const
) {
  Deno.test({
    name: `fromSsh() finds ${found} where there are ${kinds}, after a banner`,
    ignore,
    fn: noLeaks(async () => {
      const interpreters = Object.fromEntries(
        await Promise.all(
          kinds.map(async (kind) => [kind, (await runtime(kind)).path]),
        ),
      );
      const banner = "Welcome to wonderland!\n\n~across you must not take this for a greeting~\n" + "=".repeat(5_000);
      await using sshd = await startSshd({ shell: "bash", banner, interpreters, env: { HOME: "/proc/nowhere" } });
      await using conn = connect(sshd);
      await everything(conn, found);
    }),
  });
}

testWithSshd("several hops start at the far end of ssh, too", { shell: "dash" }, async (sshd) => {
  await using conn = connect(sshd, { runtime: (await runtime("node", 20)).path });
  await conn.export(HOPS);
  const others = [(await runtime("bun")).path, (await runtime("deno", "2.8")).path];
  const greet = (stop: { runtime: string }) => Promise.resolve(stop.runtime);
  assertEquals(await conn.call(travel, others, greet), ["node", "bun", "deno"]);
});

testWithSshd("permissions hold behind ssh", { shell: "sh" }, async (sshd) => {
  await using conn = connect(sshd, { runtime: (await runtime("deno", "2.3")).path, permissions: {} });
  await conn.export(GRAPH);
  assertEquals(await conn.call(levelOf, "abc"), "low");
  const error = await assertRejects(() => conn.call(Deno.readTextFile, "/etc/hostname"), Error);
  assertEquals(error.name, "NotCapable");
});

const shells = ["sh", "bash", "dash", "zsh", "mksh"].filter((name) => {
  return ["/bin", "/usr/bin"].some((place) => existsSync(`${place}/${name}`));
});
for (const shell of shells) {
  testWithSshd(`ssh host deno eval "$(across-bios)" works as printed, through ${shell}`, { shell }, async (sshd) => {
    const { path: deno } = await runtime("deno");
    const { path: node } = await runtime("node", 20);
    const ssh = ["ssh", ...sshd.sshArgs, sshd.destination].join(" ");
    const bios = `$(${deno} run -A ${new URL("../across_bios.ts", import.meta.url).pathname})`;
    for (const interpreter of [`${deno} eval --no-config`, `${node} -e`]) {
      // The local shell takes the outer quotes off, the remote one parses what is left.
      await using conn = Connection.fromShell(`${ssh} ${interpreter} "${bios}"`);
      assertEquals(await conn.call((n: number) => n * 2, 21), 42);
      await conn.export(GRAPH);
      assertEquals(await conn.call(levelOf, "abc"), "low");
    }
  });
}

Deno.test(
  "the same command works without ssh",
  noLeaks(async () => {
    for (const name of ["deno", "node", "bun"] as const) {
      const [program, ...args] = evalArgs(await runtime(name), "");
      const script = `${Deno.execPath()} run -A ${new URL("../across_bios.ts", import.meta.url).pathname}`;
      await using conn = Connection.fromShell(`${program} ${args.slice(0, -1).join(" ")} "$(${script})"`);
      assertEquals(await conn.call((n: number) => n * 2, 21), 42);
    }
  }),
);

testWithSshd("a machine without an interpreter is told by the places that were looked in", {
  shell: "sh",
  interpreters: {},
  env: { HOME: "/proc/nowhere" },
}, async (sshd) => {
  // Interpreters that this machine has outside of PATH would be found.
  const conn = connect(sshd, { stderr: "null", runtime: "/nowhere/node" });
  const call = assertRejects(() => conn.call(() => 1), DisconnectError, "/nowhere/node");
  const error = await assertRejects(() => conn.ready(), Error, "status 127");
  assertStringIncludes(error.message, "/nowhere/node");
  await call;
  const places = await Promise.all(
    ["/usr/local/bin", "/opt/homebrew/bin", "/snap/bin"].flatMap((place) =>
      ["deno", "node", "bun"].map((name) => Deno.stat(`${place}/${name}`).then(() => true, () => false))
    ),
  );
  if (places.includes(true)) return;
  const auto = connect(sshd, { stderr: "null" });
  const none = await assertRejects(() => auto.ready(), Error, "status 127");
  for (const place of ["PATH", "/usr/local/bin", ".deno/bin", ".nvm"]) assertStringIncludes(none.message, place);
});

testWithSshd(
  "a session that is killed rejects every caller, and the remote end goes",
  { shell: "sh" },
  async (sshd) => {
    for (const name of ["deno", "node"] as const) {
      const conn = connect(sshd, { runtime: (await runtime(name)).path, stderr: "null" });
      const pid = await remotePid(conn);
      const calls = Array.from({ length: 10 }, async () => await conn.call(() => new Promise<void>(() => {})));
      await conn.call(() => 1);
      sshd.killSessions();
      await Promise.all(
        calls.map((call) => assertRejects(() => call, DisconnectError, 'Command "ssh" exited with status 255')),
      );
      await assertRejects(() => conn.close(), Error, "status 255");
      await condition(() => !isAlive(pid), "the remote end is gone");
    }
  },
);

testWithSshd("host key, authentication and an unreachable host are told apart", {}, async (sshd) => {
  const attempts: [name: string, sshArgs: readonly string[], pattern: RegExp][] = [
    ["wrong host key", await sshd.sshArgsWith({ hostKey: "wrong" }), /host key.*(changed|verification failed)/is],
    [
      "unknown host key",
      await sshd.sshArgsWith({ hostKey: "unknown" }),
      /No .*host key is known|host key verification failed/is,
    ],
    ["wrong identity", await sshd.sshArgsWith({ identity: "wrong" }), /Permission denied \(publickey\)/],
    ["nobody listens", [...sshd.sshArgs, "-p", "1"], /Connection refused/],
  ];
  for (const [name, sshArgs, pattern] of attempts) {
    const conn = Connection.fromSsh(sshd.destination, { sshArgs, stderr: "null" });
    const call = conn.call(() => 1).then(() => undefined, (error: unknown) => error);
    const error = await assertRejects(
      () => conn.ready(),
      Error,
      'Command "ssh" exited with status 255 before the handshake',
    );
    assert(pattern.test(error.message), `${name}: ${error.message}`);
    assertInstanceOf(await call, DisconnectError, name);
    await conn.close();
  }
  const conn = Connection.fromSsh("wonderland", { sshCommand: "/no/such/ssh" });
  await assertRejects(() => conn.ready(), Error, 'Cannot start "/no/such/ssh"');
});

testWithSshd("the far side of ssh ends with the client that is killed", { shell: "sh" }, async (sshd) => {
  const { path } = await runtime("node", 24);
  const conn = connect(sshd, { runtime: path, stderr: "null" });
  const pid = await remotePid(conn);
  assert(isAlive(pid));
  conn.cancel();
  await conn.close();
  await condition(() => !isAlive(pid), "the remote end is gone");
});

testWithSshd(
  "a first call that never ends does not outlive the client that is killed",
  { shell: "sh" },
  async (sshd) => {
    const folder = await Deno.makeTempDir();
    for (const name of ["deno", "node", "bun"] as const) {
      const file = `${folder}/${name}`;
      const conn = connect(sshd, { runtime: (await runtime(name)).path, stderr: "null" });
      const call = conn.call((file: string) => {
        const { Deno, process } = globalThis as unknown as {
          Deno?: { pid: number; writeTextFileSync(path: string, text: string): void };
          process: {
            pid: number;
            getBuiltinModule(name: string): { writeFileSync(path: string, text: string): void };
          };
        };
        if (Deno) Deno.writeTextFileSync(file, `${Deno.pid} `);
        else process.getBuiltinModule("node:fs").writeFileSync(file, `${process.pid} `);
        for (;;);
      }, file);
      const rejected = assertRejects(() => call, DisconnectError, "cancelled");
      const pid = await condition(
        async () => {
          const text = await Deno.readTextFile(file);
          return text.endsWith(" ") && Number(text);
        },
        "the call runs",
      );
      try {
        conn.cancel();
        await Promise.all([rejected, conn.close()]);
        await condition(() => !isAlive(pid), `${name} is gone`);
      } finally {
        if (isAlive(pid)) Deno.kill(pid, "SIGKILL");
      }
    }
    await Deno.remove(folder, { recursive: true });
  },
);
