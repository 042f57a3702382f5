/**
 * The interpreters that are on this machine already: the Deno that runs this, those on PATH, and those that the tests have installed.
 * Nothing is installed here; tests/support/runtimes.ts does that.
 *
 * @module
 */

import { fromFileUrl, join } from "@std/path";

/** One interpreter. */
export interface Interpreter {
  /** Name and version, `node 24.21.0`. */
  readonly label: string;
  /** Absolute path of the program. */
  readonly path: string;
}

const NAMES = ["deno", "node", "bun"];

/** What a program says that it is; undefined when it cannot be run. */
async function identify(name: string, path: string): Promise<Interpreter | undefined> {
  try {
    const { code, stdout } = await new Deno.Command(path, {
      args: ["--version"],
      stdin: "null",
      stderr: "null",
      env: { NO_COLOR: "1" },
    }).output();
    const version = /\d+\.\d+\.\d+/.exec(new TextDecoder().decode(stdout))?.[0];
    return code === 0 && version ? { label: `${name} ${version}`, path } : undefined;
  } catch {
    return undefined;
  }
}

/** Programs that may be interpreters. */
async function candidates(): Promise<[name: string, path: string][]> {
  const found: [string, string][] = [["deno", Deno.execPath()]];
  const suffix = Deno.build.os === "windows" ? ".exe" : "";
  for (const folder of (Deno.env.get("PATH") ?? "").split(Deno.build.os === "windows" ? ";" : ":")) {
    for (const name of NAMES) if (folder) found.push([name, join(folder, `${name}${suffix}`)]);
  }
  const cache = fromFileUrl(new URL("../.cache/runtimes", import.meta.url));
  const programs = ["deno", "bin/node", "bin/bun"];
  try {
    for await (const { name: folder } of Deno.readDir(cache)) {
      const name = folder.slice(0, folder.indexOf("-"));
      const program = programs[NAMES.indexOf(name)];
      if (program) found.push([name, join(cache, folder, "node_modules", "runtime", `${program}${suffix}`)]);
    }
  } catch { /* the tests have not run yet */ }
  return found;
}

/**
 * Finds interpreters.
 *
 * @returns one of each version, ordered by name and version
 */
export async function findInterpreters(): Promise<Interpreter[]> {
  const known = new Map<string, Interpreter>();
  const seen = new Set<string>();
  for (const [name, path] of await candidates()) {
    const real = await Deno.realPath(path).catch(() => undefined);
    if (real === undefined || seen.has(real)) continue;
    seen.add(real);
    const interpreter = await identify(name, path);
    if (interpreter && !known.has(interpreter.label)) known.set(interpreter.label, interpreter);
  }
  const order = (it: Interpreter): string => it.label.replace(/\d+/g, (digits) => digits.padStart(4, "0"));
  return [...known.values()].sort((a, b) => order(a) < order(b) ? -1 : 1);
}
