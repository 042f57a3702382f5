/**
 * `ACROSS_DEBUG`: what each process tells of itself, in files or on stderr, here and at the other end.
 *
 * @module
 */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import type { XSpecInit } from "../gateways/mod.ts";
import { noLeaks } from "./support/leaks.ts";
import type { Runtime } from "./support/runtimes.ts";
import { runtime } from "./support/runtimes.ts";

const PROGRAM = fromFileUrl(new URL("./fixtures/gateways/debugged.ts", import.meta.url));

interface Outcome {
  /** The processes: the program, and those of its gateways. */
  readonly pids: readonly number[];
  readonly stderr: string;
  /** What is in the temporary directory afterwards. */
  readonly files: ReadonlyMap<string, string>;
}

/** Runs the program in a temporary directory of its own. */
async function debugged(
  { name, path }: Pick<Runtime, "name" | "path">,
  wanted: string | undefined,
  ...specs: XSpecInit[]
): Promise<Outcome> {
  const folder = await Deno.makeTempDir();
  try {
    const { code, stdout, stderr } = await new Deno.Command(path, {
      args: [...(name === "deno" ? ["run", "-A", "--quiet"] : []), PROGRAM, ...specs.map((it) => JSON.stringify(it))],
      env: { TMPDIR: folder, NO_COLOR: "1", NODE_NO_WARNINGS: "1", ...(wanted && { ACROSS_DEBUG: wanted }) },
      stdin: "null",
    }).output();
    const text = new TextDecoder().decode(stderr);
    assertEquals(code, 0, text);
    const files = new Map<string, string>();
    for await (const { name } of Deno.readDir(folder)) {
      if (name.startsWith("across-")) files.set(name, await Deno.readTextFile(join(folder, name)));
    }
    return { pids: JSON.parse(new TextDecoder().decode(stdout)), stderr: text, files };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const deno = await runtime("deno"), node = await runtime("node", 26), bun = await runtime("bun");
const node20 = (await runtime("node", 20)).path;

for (const starter of [deno, node, bun]) {
  Deno.test(
    `ACROSS_DEBUG=1 writes across-debug-PID for each process, started from ${starter.name}`,
    noLeaks(async () => {
      const far = [deno.path, node20, node.path, bun.path].map((runtime) => ({ runtime }));
      const { pids, stderr, files } = await debugged(starter, "1", ...far);
      assertEquals(new Set(pids).size, 5);
      assertEquals([...files.keys()].sort(), pids.map((pid) => `across-debug-${pid}`).sort());
      for (const [name, text] of files) {
        const pid = /\d+/.exec(name)![0];
        for (const line of text.trimEnd().split("\n")) {
          assertMatch(line, new RegExp(`^\\d{4}-\\d\\d-\\d\\dT[\\d:.]+Z across ${pid}: `));
        }
        for (const what of ["connected to ", "received hello, ", "sent goodbye, "]) assertStringIncludes(text, what);
        assert(!text.includes("hush"), "no payload is written");
      }
      assertEquals(stderr, "");
    }),
  );
}

Deno.test(
  "ACROSS_DEBUG=1 reaches processes that do not inherit it, and those that they start",
  noLeaks(async () => {
    const { pids, files } = await debugged(
      deno,
      "1",
      { command: "env -u ACROSS_DEBUG {}", runtime: node20, id: "carrier" },
      { popen: true, via: "carrier", runtime: deno.path, id: "carried" },
      { popen: true, via: "carried", runtime: bun.path },
    );
    assertEquals([...files.keys()].sort(), pids.map((pid) => `across-debug-${pid}`).sort());
  }),
);

Deno.test(
  "ACROSS_DEBUG=2 traces to stderr, which a popen gateway passes on",
  noLeaks(async () => {
    const { pids, stderr, files } = await debugged(deno, "2", { runtime: deno.path }, { runtime: node20 });
    for (const pid of pids) {
      assertMatch(stderr, new RegExp(`^across ${pid}: sent message of kind \\d+, \\d+ bytes$`, "m"));
    }
    assert(!stderr.includes("hush"), "no payload is written");
    assertEquals(files.size, 0);
  }),
);

Deno.test(
  "nothing is told without ACROSS_DEBUG",
  noLeaks(async () => {
    for (const wanted of [undefined, "0"]) {
      const { stderr, files } = await debugged(deno, wanted, { runtime: deno.path });
      assertEquals([stderr, files.size], ["", 0]);
    }
  }),
);

Deno.test(
  "ACROSS_DEBUG=1 in a sandbox, which may not write, harms nothing and is told once",
  noLeaks(async () => {
    const { pids, stderr, files } = await debugged(deno, "1", { permissions: {} });
    assertEquals([...files.keys()], [`across-debug-${pids[0]}`]);
    assertEquals(stderr.match(/Cannot write what ACROSS_DEBUG asks for: there is no permission/g)?.length, 1, stderr);
  }),
);

Deno.test(
  "ACROSS_DEBUG=1 follows no link that somebody left",
  { ignore: Deno.build.os === "windows" },
  noLeaks(async () => {
    const folder = await Deno.makeTempDir();
    try {
      const kept = join(folder, "kept");
      await Deno.writeTextFile(kept, "mine");
      // The shell's process becomes the program's, so its number is known before.
      const script = `ln -s "$TMPDIR/kept" "$TMPDIR/across-debug-$$"; exec "$0" "$@"`;
      for (const { name, path } of [deno, node]) {
        const args = [...(name === "deno" ? ["run", "-A", "--quiet"] : []), PROGRAM, "{}"];
        const { code, stderr } = await new Deno.Command("sh", {
          args: ["-c", script, path, ...args],
          env: { TMPDIR: folder, ACROSS_DEBUG: "1", NODE_NO_WARNINGS: "1" },
          stdin: "null",
        }).output();
        assertEquals(code, 0);
        assertStringIncludes(new TextDecoder().decode(stderr), "is a link");
        assertEquals(await Deno.readTextFile(kept), "mine");
      }
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  }),
);
