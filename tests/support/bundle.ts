/**
 * Programs of the tests in one file each, so that any runtime can run them.
 *
 * @module
 */

import { join } from "@std/path";
import { build, stop } from "esbuild";
import { condition, descendants } from "./leaks.ts";

/**
 * Bundles a program. To be called outside of tests, as esbuild keeps a process for some time.
 *
 * @param name Its file, without the extension.
 * @param folder Where that is, from `tests/` on.
 * @param platform What it is for: a runtime, or a page.
 * @returns the path of the bundle, which is there until this process ends
 */
export async function bundled(
  name: string,
  folder = "fixtures",
  platform: "node" | "browser" = "node",
): Promise<string> {
  const target = await Deno.makeTempDir({ prefix: "across-test-" });
  addEventListener("unload", () => Deno.removeSync(target, { recursive: true }));
  const outfile = join(target, `${name}.test.mjs`); // Bun takes no file for one of tests that is not called so
  try {
    await build({
      entryPoints: [new URL(`../${folder}/${name}.ts`, import.meta.url).pathname],
      outfile,
      bundle: true,
      format: "esm",
      platform,
      target: platform === "node" ? "node20" : "es2022",
      logLevel: "error",
    });
  } finally {
    await stop();
    // stop() does not wait for esbuild's process, whose end must not fall into a test.
    await condition(() => !descendants().some(({ command }) => command.includes("esbuild")), "esbuild has ended");
  }
  return outfile;
}
