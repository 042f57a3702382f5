/**
 * `across socketserver`: the script of `getSocketServer()` on bare interpreters, as its users run it, and strangers that knock.
 *
 * @module
 */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { across, assertCode, startAcross } from "./support/across.ts";
import { inGroup, SOON } from "./support/gateways.ts";
import { condition, descendants, isAlive, noLeaks } from "./support/leaks.ts";
import { answer, bytes, challenge, DIALS, EITHER, LISTENS, RawEnd, SUPERBLOCK } from "./support/prover.ts";
import type { Runtime } from "./support/runtimes.ts";
import { evalArgs, runtime } from "./support/runtimes.ts";

const PID = "channel.send((await import('node:process')).default.pid)";

/** How an interpreter takes a script on its stdin. */
const fromStdin = ({ name, path }: Runtime): string[] =>
  name === "deno" ? [path, "run", "-A", "--no-config", "-"] : name === "bun" ? [path, "run", "-"] : [path, "-"];

/** Runs a program, feeds it a script, and waits until it says where it listens. */
async function listening(
  [program, ...args]: readonly string[],
  script: string,
  body: (port: number, pid: number) => Promise<void>,
): Promise<void> {
  const server = new Deno.Command(program!, { args, stdin: "piped", stdout: "piped", stderr: "inherit" }).spawn();
  const writer = server.stdin.getWriter();
  await writer.write(new TextEncoder().encode(script));
  await writer.close();
  const reader = server.stdout.pipeThrough(new TextDecoderStream()).getReader();
  try {
    let told = "";
    while (!told.includes("\n")) told += (await reader.read()).value ?? "\n";
    assertStringIncludes(told, "listening on tcp 127.0.0.1:");
    await body(Number(/:(\d+)\n/.exec(told)![1]), server.pid);
  } finally {
    server.kill("SIGKILL");
    await reader.cancel();
    await server.status;
  }
  await condition(() => descendants(server.pid).length === 0, "its children have ended");
}

/** Runs the command with a secret in a file. */
async function scriptWith(secret: string, ...more: string[]): Promise<string> {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(join(folder, "secret"), `${secret}\n`, { mode: 0o600 });
    const made = await across(
      "socketserver",
      "--tcp",
      "127.0.0.1:0",
      "--secret-file",
      join(folder, "secret"),
      ...more,
    );
    assertCode(made, 0);
    return made.out;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

for (const [name, version] of [["deno"], ["deno", "2.0"], ["node", "20"], ["node", "26"], ["bun"]] as const) {
  Deno.test(
    `across socketserver: a bare ${[name, version ?? []].flat().join(" ")} gives each client a fresh booted end`,
    noLeaks(async () => {
      const it = await runtime(name, version);
      const { code, out, err } = await across("socketserver", "--tcp", "127.0.0.1:0");
      assertEquals([code, err], [0, ""]);
      for (const command of [evalArgs(it, out), fromStdin(it)]) {
        await listening(command, out, (port, server) =>
          inGroup(async (group) => {
            const socket = `127.0.0.1:${port}`;
            const [a, b] = await group.makeGateways([{ socket }, { socket }]);
            assertEquals([(await a!.remoteInfo()).runtime, (await b!.remoteInfo()).runtime], [name, name]);
            await a!.remoteExec("globalThis.seen = 1").waitClose(SOON);
            assertEquals(await b!.remoteExec("channel.send(typeof globalThis.seen)").receive(SOON), "undefined");
            const pids = await group.remoteExec(PID).receiveEach(false, SOON);
            assertEquals(new Set([...pids, server]).size, 3);
            a!.exit();
            await a!.join(SOON);
            await condition(() => !isAlive(pids[0] as number), "the end of a client that left has ended");
            assertEquals(await b!.remoteExec("channel.send(2)").receive(SOON), 2);
          })());
      }
    }),
  );
}

/** What strangers say to the server, whose challenge they have. They hear nothing but the end, or nothing at all. */
const STRANGERS: Readonly<Record<string, (mine: RawEnd, theirs: Uint8Array, overheard: Uint8Array) => Promise<void>>> =
  {
    "text of another protocol": (end) => end.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n", new Uint8Array(100)),
    "the superblock of an end that asks for no proof": (end) => end.write(SUPERBLOCK, new Uint8Array(100)),
    "a proof with another secret": async (end, theirs) => {
      const ours = challenge(DIALS);
      await end.write(ours, answer("hash", DIALS, ours, theirs));
    },
    "the proof that a listening side would give": async (end, theirs) => {
      const ours = challenge(LISTENS);
      await end.write(ours, answer("hush", LISTENS, ours, theirs));
    },
    "its own challenge, sent back": (end, theirs) => end.write(theirs, new Uint8Array(32)),
    "its own nonce under another side": (end, theirs) => {
      const ours = challenge(EITHER, theirs.slice(16));
      return end.write(ours, answer("hush", DIALS, ours, theirs));
    },
    "a proof that was overheard": (end, _theirs, overheard) => end.write(overheard),
    "a proof of another version": async (end, theirs) => {
      const ours = challenge(DIALS, undefined, [9, 9]);
      await end.write(ours, answer("hush", DIALS, ours, theirs));
    },
    "most of a proof, and the end": async (end, theirs) => {
      const ours = challenge(DIALS);
      await end.write(bytes(ours, answer("hush", DIALS, ours, theirs)).subarray(0, 79));
      await end.end();
    },
    "nothing, and the end": (end) => end.end(),
  };

for (const [name, version] of [["deno"], ["node", "20"], ["node", "26"], ["bun"]] as const) {
  Deno.test(
    `the script of across socketserver starts nothing for strangers, on ${[name, version ?? []].flat().join(" ")}`,
    noLeaks(async () => {
      const script = await scriptWith("hush");
      const it = await runtime(name, version);
      await listening(fromStdin(it), script, async (port, server) => {
        const knock = async (): Promise<[RawEnd, Uint8Array]> => {
          const conn = await Deno.connect({ port });
          const end = new RawEnd(conn.readable, conn.writable);
          return [end, await end.read(48)];
        };
        const ours = challenge(DIALS);
        const prove = (theirs: Uint8Array) => bytes(ours, answer("hush", DIALS, ours, theirs));
        const [other, heard] = await knock();
        const overheard = prove(heard);
        for (const [what, say] of Object.entries(STRANGERS)) {
          const [end, theirs] = await knock();
          await say(end, theirs, overheard);
          assertEquals((await end.rest()).length, 0, `${what}: was told something`);
          await end.close();
          assertEquals(descendants(server), [], what);
        }
        await other.close();
        // One that knows the secret, byte by byte; only now something is started.
        const [known, theirs] = await knock();
        for (const byte of prove(theirs)) await known.write(byte);
        assertEquals(await known.read(32), answer("hush", LISTENS, ours, theirs));
        await condition(() => descendants(server).length > 0, "an end is started");
        assertStringIncludes(new TextDecoder().decode(await known.read(9)), "~across1");
        await known.close();
        await condition(() => descendants(server).length === 0, "it has ended");
      });
    }),
  );
}

Deno.test(
  "across socketserver --run serves until SIGTERM, and ends its interpreter when it is killed",
  noLeaks(async () => {
    const { path } = await runtime("node", 26);
    for (const signal of ["SIGTERM", "SIGKILL"] as const) {
      await using server = startAcross("socketserver", "--run", "--tcp", "127.0.0.1:0", "--runtime", path);
      const [, address] = await server.until(/listening on tcp (\S+)\n/);
      const calls = await across("exec", "--tcp", address!, "process.version.slice(0, 3)");
      assertEquals([calls.code, calls.out], [0, "v26\n"], calls.err);
      const pids = descendants(server.child.pid).map(({ pid }) => pid);
      assert(pids.length > 0);
      server.child.kill(signal);
      if (signal === "SIGTERM") assertCode(await server.ended(), 0);
      await condition(() => !pids.some(isAlive), "the interpreter has ended");
      const port = Number(/\d+$/.exec(address!)![0]);
      await condition(
        () => Deno.connect({ port }).then((conn) => conn.close(), () => true),
        "nobody listens there any more",
      );
    }
  }),
);

Deno.test(
  "across socketserver says why it cannot listen",
  noLeaks(async () => {
    using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const result = await across("socketserver", "--run", "--tcp", `127.0.0.1:${taken.addr.port}`);
    assertCode(result, 1);
    assertStringIncludes(result.err, "EADDRINUSE");
  }),
);

Deno.test(
  "across socketserver exits with 2 when the command line is wrong",
  noLeaks(async () => {
    const cases: readonly (readonly [message: string, ...args: string[]])[] = [
      ["without a secret", "--tcp", "0.0.0.0:8888"],
      ['"--tcp" needs HOST:PORT', "--tcp", "8888"],
      ["--runtime goes with --run", "--runtime", "node"],
      ["Cannot read the secret", "--secret-file", "/there is no such file"],
      ["takes no argument", "x"],
      ['Unknown flag "--host"', "--host", "x"],
    ];
    for (const [message, ...args] of cases) {
      const result = await across("socketserver", ...args);
      assertCode(result, 2);
      assertStringIncludes(result.err, message);
      assertEquals(result.out, "");
    }
    assert(!(await scriptWith("very secret")).includes("very secret"), "the secret is not there as text");
  }),
);
