/**
 * Temporary modules for the tests of module exchange, and far ends that load them: `module_child.ts`, bundled, in each runtime.
 *
 * @module
 */

import { assert } from "@std/assert";
import { fromFileUrl, toFileUrl } from "@std/path";
import * as esbuild from "esbuild";
import { ModuleGraph } from "../../modules/graph.ts";
import { packModules } from "../../modules/source.ts";
import type { Job, Outcome } from "./module_child.ts";
import type { Runtime } from "./runtimes.ts";

/** A directory with files in it, gone when it is disposed of. */
export interface Folder extends AsyncDisposable {
  /** Its URL, ending in `/`. */
  readonly url: string;
  /** The URL of something in it. */
  at(path: string): string;
}

/** Writes files into a new directory. */
export async function folder(files: Record<string, string>): Promise<Folder> {
  const path = await Deno.realPath(await Deno.makeTempDir());
  const url = `${toFileUrl(path).href}/`;
  for (const [name, text] of Object.entries(files)) {
    const file = new URL(name, url);
    await Deno.mkdir(new URL(".", file), { recursive: true });
    await Deno.writeTextFile(file, text);
  }
  return {
    url,
    at: (name) => new URL(name, url).href,
    [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }),
  };
}

/** Modules as they travel, as base64. */
export async function packed(graph: ModuleGraph, ...ids: string[]): Promise<string> {
  const bytes = await packModules(await graph.collect(ids, new Set()));
  let binary = "";
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary);
}

/** A graph that serves these. */
export function serving(...roots: string[]): ModuleGraph {
  const graph = new ModuleGraph();
  for (const root of roots) graph.allow(root);
  return graph;
}

let bundle: Promise<string> | undefined;

/** The text of the far end; the bundler runs once per process, and is gone afterwards. */
function bundled(): Promise<string> {
  return bundle ??= (async () => {
    try {
      const { outputFiles } = await esbuild.build({
        entryPoints: [fromFileUrl(new URL("module_child.ts", import.meta.url))],
        bundle: true,
        write: false,
        format: "esm",
        platform: "neutral",
        target: "node20",
        external: ["node:*"],
        supported: { using: false },
        logLevel: "silent",
      });
      return outputFiles[0]!.text;
    } finally {
      await esbuild.stop();
    }
  })();
}

/** Has a job done in a runtime. Fails when the process does not end by itself. */
export async function farEnd(
  runtime: Runtime,
  job: Job,
  cwd?: string,
): Promise<{ outcomes: Outcome[]; fetches: number; stderr: string }> {
  await using place = await folder({ "far.mjs": await bundled() });
  const file = fromFileUrl(place.at("far.mjs"));
  const args = runtime.name === "deno" ? ["run", "--no-config", "--no-prompt", file] : [file];
  const child = new Deno.Command(runtime.path, {
    args,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
    cwd: cwd ?? fromFileUrl(place.url),
    env: { NO_COLOR: "1" },
  }).spawn();
  const watch = setTimeout(() => child.kill("SIGKILL"), 60_000);
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(JSON.stringify(job)));
  await writer.close();
  const { code, stdout, stderr } = await child.output();
  clearTimeout(watch);
  const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  assert(code === 0, `The far end exited with status ${code}: ${out}${err}`);
  return { ...JSON.parse(out!), stderr: err! };
}
