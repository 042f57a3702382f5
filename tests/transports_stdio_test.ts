// A wire over stdin and stdout of its own process: stdioWire(), in every runtime, over every kind of descriptor.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { bundled } from "./support/bundle.ts";
import type { FarEnd, Stdio } from "./support/far_end.ts";
import { farArgs, farEnd, STDIO } from "./support/far_end.ts";
import { inTime, noLeaks } from "./support/leaks.ts";
import { atLeast } from "./support/remote.ts";
import type { Runtime } from "./support/runtimes.ts";
import { runtimes, testEachRuntime } from "./support/runtimes.ts";
import { Sum } from "./support/wires.ts";

const program = await bundled("wire_far_end");
await runtimes();

const LARGE = 64 << 20;
/** What is sent in small pieces. */
const FLOOD = 4 << 20;

/** Whether a runtime can write to a socket that does not block, which it did not make: Deno cannot before 2.7. */
const canWait = (it: Runtime) => it.name !== "deno" || atLeast(it, "2.7");

/** Runs a test on every kind of stdio, one after the other; a far end that is left is killed. */
function onEach(
  kinds: readonly Stdio[],
  args: readonly string[],
  body: (far: FarEnd, kind: Stdio, it: Runtime) => Promise<void>,
): (it: Runtime) => Promise<void> {
  return noLeaks(async (it: Runtime) => {
    for (const kind of kinds) {
      if (kind === "one non-blocking socket" && !canWait(it)) continue;
      const far = await farEnd(it, program, kind, ...args);
      try {
        await inTime(body(far, kind, it));
      } catch (error) {
        throw new Error(`${kind}: ${(error as Error).message}; reported: ${far.log().slice(-1000)}`, { cause: error });
      } finally {
        far.kill();
        await far.ended();
        await far.leave();
      }
    }
  }, 240_000);
}

/** Writes a chunk after another, each when the one before was taken. */
async function write(far: FarEnd, chunks: Iterable<Uint8Array>): Promise<void> {
  for (const chunk of chunks) await far.write(chunk);
}

/** Reads to the end: how much there was, and its sum. */
async function readAll(far: FarEnd): Promise<[size: number, sum: number]> {
  const sum = new Sum();
  let size = 0;
  for await (const chunk of far.read()) {
    size += chunk.length;
    sum.add(chunk);
  }
  return [size, sum.value];
}

/** Bytes in chunks of a size, their sum noted. */
function* bytes(size: number, chunkSize: number, sum: Sum): Generator<Uint8Array> {
  for (let i = 0; size > 0; size -= chunkSize, i++) {
    const chunk = new Uint8Array(Math.min(size, chunkSize)).fill(i);
    sum.add(chunk);
    yield chunk;
  }
}

const text = (it: string) => new TextEncoder().encode(it);

await testEachRuntime(
  "single bytes and 64 MiB go through both ways at once, and end",
  onEach(STDIO, ["echo"], async (far) => {
    const sum = new Sum();
    const reading = readAll(far);
    await write(far, bytes(100, 1, sum));
    await write(far, bytes(LARGE, 65536, sum));
    await far.end();
    assertEquals(await reading, [LARGE + 100, sum.value]);
    assertEquals(await far.ended(), `0 started\nend ${LARGE + 100} ${sum.value} \nclosed\n`);
  }),
);

/**
 * Whether a runtime can end its output before the process ends. Deno keeps a copy of stdout, before 2.8 of every descriptor; Bun can close sockets but
 * not shut down one direction of them.
 */
function canEnd(it: Runtime, kind: Stdio): boolean {
  if (it.name === "deno") return atLeast(it, "2.8") && (kind === "moved pipes" || kind.includes("socket"));
  return it.name === "node" || !kind.includes("socket");
}

await testEachRuntime(
  "end() ends our direction only: the peer sees it, where that is possible, and is read on",
  onEach(STDIO, ["half-close"], async (far, kind, it) => {
    const all = text("that was all");
    const wanted = new Sum();
    wanted.add(all);
    const reading = readAll(far);
    if (canEnd(it, kind)) assertEquals(await reading, [all.length, wanted.value]);
    const sum = new Sum();
    await write(far, bytes(1 << 20, 65536, sum));
    await far.end();
    assertEquals(await far.ended(), `0 started\nend ${1 << 20} ${sum.value} \nclosed\n`);
    assertEquals(await reading, [all.length, wanted.value]);
  }),
);

await testEachRuntime(
  "a peer that has ended its direction gets all that is still sent",
  onEach(STDIO, ["send", `${LARGE}`], async (far) => {
    await far.end();
    const [size, sum] = await readAll(far);
    assertEquals(size, LARGE);
    const log = await far.ended();
    assertMatch(log, /^0 started\n[^]*\nclosed\n$/);
    assert(log.includes(`sent ${sum}\n`) && log.includes("end 0 0 \n"), log);
  }),
);

for (const mode of ["abort", "abort-reading", "abort-writing"]) {
  const when = { abort: "", "abort-reading": " while a read is pending", "abort-writing": " while a write is pending" }[
    mode
  ];
  await testEachRuntime(
    `abort() ends it at once${when}`,
    onEach(STDIO, [mode, `${FLOOD}`], async (far) => {
      if (mode === "abort") await write(far, [text("x")]);
      // Nothing is read, and our direction stays open.
      assertMatch(await far.ended(), /^0 [^]*\nend [01] -?\d+ Error: enough\n(failed.*\n)?closed\n$/);
    }),
  );
}

await testEachRuntime(
  "while nobody reads, the rest of the process goes on, and little is taken",
  onEach(STDIO, ["flood", `${FLOOD}`], async (far) => {
    const [, sent] = await far.until(/^sent (\d+)\n(sent \1\n){4}/m);
    assert(Number(sent) <= 1 << 20, `${sent} bytes`);
    await far.end();
    assertEquals((await readAll(far))[0], FLOOD);
    assertMatch(await far.ended(), /^0 [^]*\nclosed\n$/);
  }),
);

await testEachRuntime(
  "a reader that is gone is an error of the write",
  onEach(STDIO, ["flood", `${FLOOD}`], async (far) => {
    await far.until(/^sent (\d+)\nsent \1\n/m);
    await far.leave();
    assertMatch(await far.ended(), /^0 [^]*\nfailed .*(EPIPE|[Bb]roken pipe|ECONNRESET|reset).*\n[^]*closed\n$/);
  }),
);

await testEachRuntime(
  "files and /dev/null are wires, too: their end is an end",
  noLeaks(async (it: Runtime) => {
    const folder = await Deno.makeTempDir();
    try {
      const input = new Uint8Array(3 << 20).map((_, i) => i * 7);
      await Deno.writeFile(`${folder}/in`, input);
      for (const [from, size] of [["/dev/null", 0], [`${folder}/in`, input.length]] as const) {
        for (const to of ["/dev/null", `${folder}/out`]) {
          const { code, stderr } = await new Deno.Command("sh", {
            args: ["-c", `from=$1 to=$2; shift 2; exec "$@" <"$from" >"$to"`, "sh", from, to]
              .concat(farArgs(it, program, "send", `${1 << 20}`)),
            env: { NO_COLOR: "1" },
            signal: AbortSignal.timeout(60_000),
          }).output();
          const log = new TextDecoder().decode(stderr);
          assertEquals(code, 0, log);
          assertMatch(log, new RegExp(`^started\n(sent .*\n)?end ${size} -?\\d+ \n(sent .*\n)?closed\n$`));
          if (to === "/dev/null") continue;
          const sum = new Sum();
          const output = await Deno.readFile(to);
          sum.add(output);
          assertEquals(output.length, 1 << 20);
          assert(log.includes(`sent ${sum.value}\n`), log);
        }
      }
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  }),
);

await testEachRuntime(
  "two processes whose stdio is each other's wire both get all, and end",
  noLeaks(async (it: Runtime) => {
    // Where an end is seen only when the process ends, they would wait for each other.
    for (const kind of ["pipes", "moved pipes"] as const) {
      const mode = canEnd(it, kind) ? "send" : "exchange";
      const moved = kind === "pipes" ? "" : "4 3 4<&0 0</dev/null 3>&1 1>&2";
      const folder = await Deno.makeTempDir();
      try {
        const script = `cd "$1";shift;mkfifo a b;(exec "$@" ${moved}) <a >b 2>c& (exec "$@" ${moved}) >a <b 2>d;` +
          `echo $?;wait $!;echo $?;cat c d`;
        const { stdout, stderr } = await new Deno.Command("sh", {
          args: ["-c", script, "sh", folder, ...farArgs(it, program, mode, `${LARGE}`)],
          env: { NO_COLOR: "1" },
          signal: AbortSignal.timeout(60_000),
        }).output();
        const [text, complaints] = [stdout, stderr].map((it) => new TextDecoder().decode(it));
        const told = text!.replaceAll(`end ${LARGE} `, "got ").replaceAll(/ $/gm, "").replaceAll("closed\n", "");
        const sums = [...told.matchAll(/^(?:sent|got) (.*)$/gm)].map((it) => it[1]);
        assertMatch(told, /^0\n0\n(started\n(sent .*\n|got .*\n){2}){2}$/, `${kind}: ${complaints}`);
        assertEquals([sums.length, new Set(sums).size], [4, 1], text);
      } finally {
        await Deno.remove(folder, { recursive: true });
      }
    }
  }),
);
