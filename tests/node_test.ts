// Runs tests/node/smoke.ts in every Node and in Bun: the core as the dialling side there, bundled as a user's bundler would do it.

import { assert } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { build, stop } from "esbuild";
import { noLeaks } from "./support/leaks.ts";
import { type Runtime, testEachRuntime } from "./support/runtimes.ts";

const source = fromFileUrl(new URL("./node/smoke.ts", import.meta.url));
const fixture = new URL("./fixtures/plain.mjs", import.meta.url).href;

async function bundle(folder: string): Promise<string> {
  const outfile = join(folder, "smoke.test.mjs");
  try {
    await build({
      entryPoints: [source],
      outfile,
      bundle: true,
      format: "esm",
      platform: "node",
      target: "node20",
      logLevel: "error",
    });
  } finally {
    await stop();
  }
  return outfile;
}

async function run({ name, path }: Runtime, file: string): Promise<void> {
  const { code, stdout, stderr } = await new Deno.Command(path, {
    args: name === "bun" ? ["test", "--timeout", "30000", file] : ["--test", "--test-reporter=spec", file],
    env: { ACROSS_FIXTURE: fixture, ACROSS_DENO: Deno.execPath(), NO_COLOR: "1" },
    stdin: "null",
  }).output();
  const text = new TextDecoder();
  const shown = text.decode(stdout) + text.decode(stderr);
  assert(code === 0, shown);
  // That no test ran must not pass for success.
  const passed = Number((/^\S* ?pass (\d+)$/m.exec(shown) ?? /^\s*(\d+) pass$/m.exec(shown))?.[1] ?? 0);
  assert(passed >= 10, `Only ${passed} tests passed: ${shown}`);
}

await testEachRuntime(
  "the core dials from another runtime",
  noLeaks(async (runtime: Runtime) => {
    const folder = await Deno.makeTempDir();
    try {
      await run(runtime, await bundle(folder));
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  }),
  ({ name }) => name !== "deno",
);
