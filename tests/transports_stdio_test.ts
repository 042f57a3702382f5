// Wires over the stdio of this process, and over descriptors that a shell moved it to: stdioWire(), in every runtime.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { commandWire } from "../transports/command.ts";
import { bundled } from "./support/bundle.ts";
import { condition, noLeaks } from "./support/leaks.ts";
import type { Runtime } from "./support/runtimes.ts";
import { runtime, runtimes, testEachRuntime } from "./support/runtimes.ts";
import { receive, send, sendMany, Sum } from "./support/wires.ts";

const farEnd = await bundled("wire_far_end");
const dial = await bundled("wire_dial");
await runtimes();

/** Where the wire is. */
type Place = "stdio" | "moved";
const PLACES: readonly Place[] = ["stdio", "moved"];

/** The argv of a far end. */
function argv({ name, path }: Runtime, mode: string, place: Place, before = ""): string[] {
  const args = [path, ...(name === "deno" ? ["run", "-A", "--no-config"] : []), farEnd, mode];
  if (place === "moved") return ["sh", "-c", `${before}exec "$@" 4 3 4<&0 0</dev/null 3>&1 1>&2`, "sh", ...args];
  return before ? ["sh", "-c", `${before}exec "$@"`, "sh", ...args] : args;
}

/** Deno cannot close descriptors that it did not open. The means of Node do it for stdout, unless a version has copies of its own. */
const canEnd = ({ name, version }: { name: string; version: string }, place: Place): boolean =>
  name !== "deno" || place === "stdio" && !/^2\.[0-8]\./.test(version);

/** Starts a far end, with its stderr. */
function start(args: readonly string[]): { wire: ReturnType<typeof commandWire>; said: () => string } {
  let said = "";
  const decoder = new TextDecoder();
  const stderr = new WritableStream<Uint8Array>({
    write: (chunk) => void (said += decoder.decode(chunk, { stream: true })),
  });
  return { wire: commandWire(args, { stderr, env: { NO_COLOR: "1" } }), said: () => said };
}

for (const place of PLACES) {
  await testEachRuntime(
    `stdioWire() carries single bytes and 64 MiB both ways (${place})`,
    noLeaks(async (runtime: Runtime) => {
      const { wire, said } = start(argv(runtime, "echo", place));
      const inbox = receive(wire);
      for (const letter of "across") {
        await send(wire, letter);
        await inbox.until(inbox.size() + 1);
      }
      const expected = new Sum();
      expected.add(new TextEncoder().encode("across"));
      assertEquals(inbox.text(), "across");
      assertEquals(inbox.sum(), expected.value);
      await wire.end();
      assertEquals(await wire.closed, { code: 0, signal: null, stderr: said().trim() });
      assertMatch(said(), /^end 6 -?\d+ \nclosed\n$/);

      for (const chunkSize of [65536, 1000]) {
        const size = chunkSize < 65536 ? 8 << 20 : 56 << 20;
        const { wire, said } = start(argv(runtime, "echo", place));
        const inbox = receive(wire);
        const sum = await sendMany(wire, size, chunkSize);
        await wire.end();
        assertEquals((await wire.closed)?.code, 0, said());
        assertEquals([inbox.size(), inbox.sum()], [size, sum]);
      }
    }),
  );

  await testEachRuntime(
    `end() of a wire over stdio lets the other direction go on (${place})`,
    noLeaks(async (runtime: Runtime) => {
      const { wire, said } = start(argv(runtime, "half-close", place));
      const inbox = receive(wire);
      await inbox.until(12);
      if (canEnd(runtime, place)) {
        assertEquals(await inbox.ended, undefined);
      }
      assertEquals(inbox.text(), "that was all");
      await send(wire, "still there?");
      await wire.end();
      assertEquals((await wire.closed)?.code, 0, said());
      assertMatch(said(), /^end 12 /m);
    }),
  );

  await testEachRuntime(
    `abort() of a wire over stdio ends it at once (${place})`,
    noLeaks(async (runtime: Runtime) => {
      const { wire, said } = start(argv(runtime, "abort", place));
      const inbox = receive(wire);
      await send(wire, "x");
      await inbox.ended;
      assertEquals((await wire.closed)?.code, 0, said());
      assertMatch(said(), /^end 1 \d+ Error: enough\nclosed\n$/);
    }),
  );

  await testEachRuntime(
    `a process goes on while nobody reads what it writes to the wire (${place})`,
    noLeaks(async (runtime: Runtime) => {
      const [path = "", ...args] = argv(runtime, "flood", place);
      const child = new Deno.Command(path, { args, stdin: "piped", stdout: "piped", stderr: "piped" }).spawn();
      let said = "";
      const talk = child.stderr.pipeThrough(new TextDecoderStream()).pipeTo(
        new WritableStream({ write: (text) => void (said += text) }),
      );
      await condition(() => said.split("tick").length > 5, "its timers run");
      const sum = new Sum();
      for await (const chunk of child.stdout) {
        sum.add(chunk);
        // Old versions of Deno show their end only when they exit.
        if (said.includes("sent")) void child.stdin.close().catch(() => {});
      }
      await child.stdin.close().catch(() => {});
      await talk;
      assert((await child.status).success, said);
      assertMatch(said, new RegExp(`sent ${sum.value}\n`));
    }),
  );

  await testEachRuntime(
    `stdioWire() copes with descriptors that somebody made non-blocking (${place})`,
    noLeaks(async (runtime: Runtime) => {
      const before = "dd iflag=nonblock oflag=nonblock count=0 2>/dev/null;";
      const { wire, said } = start(argv(runtime, "echo", place, before));
      const inbox = receive(wire);
      const sum = await sendMany(wire, 8 << 20);
      await wire.end();
      assertEquals((await wire.closed)?.code, 0, said());
      assertEquals([inbox.size(), inbox.sum()], [8 << 20, sum]);
    }),
  );
}

await testEachRuntime(
  "two processes whose stdio is each other's wire do not block each other",
  noLeaks(async (runtime: Runtime) => {
    const folder = await Deno.makeTempDir();
    try {
      const args = argv(runtime, "flood", "stdio");
      const script = `mkfifo a b; "$@" <a >b 2>left & "$@" <b >a 2>right; wait; cat left; echo; cat right`;
      const command = new Deno.Command("sh", { args: ["-c", script, "sh", ...args], cwd: folder, stderr: "null" });
      const { stdout } = await command.output();
      const out = new TextDecoder().decode(stdout);
      const sent = [...out.matchAll(/^sent (-?\d+)$/gm)].map(([, sum]) => sum);
      const ended = [...out.matchAll(/^end (\d+) (-?\d+) $/gm)].map(([, size, sum]) => [size, sum]);
      assertEquals(sent.length, 2, out);
      assertEquals(ended, [[String(4 << 20), sent[0]], [String(4 << 20), sent[0]]], out);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  }),
  (runtime) => canEnd(runtime, "stdio"),
);

await testEachRuntime(
  "stdioWire() works when Node dials, which gives sockets to its children",
  noLeaks(async (far: Runtime) => {
    const near = await runtime("node");
    for (const place of PLACES) {
      // The prologue does not move sockets for Deno, as that could not open them.
      if (far.name === "deno" && place === "moved") continue;
      const command = new Deno.Command(near.path, { args: [dial, ...argv(far, "echo", place)] });
      const { stdout, stderr } = await command.output();
      const said = new TextDecoder().decode(stderr);
      assertEquals(JSON.parse(new TextDecoder().decode(stdout) || "null"), {
        before: "across",
        code: 0,
        same: true,
        exit: 0,
      }, said);
    }
  }),
);
