/**
 * The interpreters that the tests boot: which ones, where they come from (npm, fetched by Deno itself, once, into `.cache/runtimes`), and how
 * a test is declared for each of them. What is run in them is the business of the tests.
 *
 * @module
 */

import { assert } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { inTime } from "./leaks.ts";

/** The kinds of interpreters. */
export type RuntimeName = "deno" | "node" | "bun";

/** One interpreter that is installed here. */
export interface Runtime {
  readonly name: RuntimeName;
  /** Full version, `24.21.0`. */
  readonly version: string;
  /** Absolute path of the program. */
  readonly path: string;
}

/** One that could not be had. */
export interface MissingRuntime {
  readonly name: RuntimeName;
  readonly version: string;
  readonly reason: string;
}

/** Exact versions, so that a run can be repeated. The oldest supported ones first; the Deno that runs the tests is the newest. */
const WANTED: readonly (readonly [RuntimeName, string])[] = [
  ["deno", "2.0.6"],
  ["deno", "2.3.7"],
  ["deno", "2.8.3"],
  ["node", "20.20.2"],
  ["node", "22.23.3"],
  ["node", "24.21.0"],
  ["node", "26.10.0"],
  ["bun", "1.4.5"],
];

const CACHE = fromFileUrl(new URL("../../.cache/runtimes", import.meta.url));

const { os, arch } = Deno.build;

/** The npm package that holds the program for this machine, and the program's path in it. */
function packageOf(name: RuntimeName): readonly [name: string, program: string] {
  const exe = os === "windows" ? ".exe" : "";
  const intel = arch === "x86_64";
  if (name === "deno") {
    const system = os === "linux" ? "linux" : os === "darwin" ? "darwin" : "win32";
    return [`@deno/${system}-${intel ? "x64" : "arm64"}${os === "linux" ? "-glibc" : ""}`, `deno${exe}`];
  }
  const system = os === "windows" && name === "node" ? "win" : os;
  if (name === "node") return [`node-${system}-${intel ? "x64" : "arm64"}`, `bin/node${exe}`];
  return [`@oven/bun-${system}-${intel ? "x64" : "aarch64"}`, `bin/bun${exe}`];
}

/** Runs a program to its end; its standard output, or an error with the end of what it complained about. */
async function output(program: string, args: readonly string[], cwd?: string): Promise<string> {
  const { code, stdout, stderr } = await new Deno.Command(program, {
    args: [...args],
    stdin: "null",
    env: { NO_COLOR: "1" },
    ...(cwd === undefined ? {} : { cwd }),
  }).output();
  const text = new TextDecoder();
  if (code !== 0) throw new Error(`"${program}" exited with status ${code}: ${text.decode(stderr).trim().slice(-500)}`);
  return text.decode(stdout).trim();
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch {
    return false;
  }
}

/** Path of the program, installed if need be. Test files run in processes of their own, so a file lock keeps two from installing at once. */
async function install(name: RuntimeName, version: string): Promise<string> {
  const folder = join(CACHE, `${name}-${version}`);
  const [pack, program] = packageOf(name);
  const path = join(folder, "node_modules", "runtime", program);
  const done = join(folder, "installed");
  if (await exists(done)) return path;
  await Deno.mkdir(folder, { recursive: true });
  using lock = await Deno.open(join(folder, "lock"), { create: true, write: true });
  await lock.lock(true);
  if (await exists(done)) return path;
  await Deno.writeTextFile(
    join(folder, "package.json"),
    JSON.stringify({ private: true, dependencies: { runtime: `npm:${pack}@${version}` } }),
  );
  // Keeps Deno from taking the project's own configuration for this folder's.
  await Deno.writeTextFile(join(folder, "deno.json"), JSON.stringify({ nodeModulesDir: "auto", lock: false }));
  await output(Deno.execPath(), ["install", "--quiet"], folder);
  if (os !== "windows") await Deno.chmod(path, 0o755);
  const shown = await output(path, ["--version"]);
  assert(shown.includes(version), `"${path}" says that it is ${shown}, wanted ${version}`);
  await Deno.writeTextFile(done, `${shown}\n`);
  return path;
}

let found: Promise<{ present: readonly Runtime[]; missing: readonly MissingRuntime[] }> | undefined;

async function find(): Promise<{ present: readonly Runtime[]; missing: readonly MissingRuntime[] }> {
  const present: Runtime[] = [];
  const missing: MissingRuntime[] = [];
  await Promise.all(WANTED.map(async ([name, version]) => {
    try {
      present.push({ name, version, path: await install(name, version) });
    } catch (error) {
      missing.push({ name, version, reason: error instanceof Error ? error.message : String(error) });
    }
  }));
  present.push({ name: "deno", version: Deno.version.deno, path: Deno.execPath() });
  const order = ({ name, version }: Runtime): string => name + version.split(".").map((n) => n.padStart(4, "0")).join();
  present.sort((a, b) => order(a) < order(b) ? -1 : 1);
  return { present, missing };
}

/**
 * All interpreters of this machine, installing those that are not there yet. Ordered by name and version.
 *
 * @returns those that are there; what is missing is reported by {@linkcode testEachRuntime}
 */
export async function runtimes(): Promise<readonly Runtime[]> {
  return (await (found ??= find())).present;
}

/** The interpreters that could not be installed, and why. */
export async function missingRuntimes(): Promise<readonly MissingRuntime[]> {
  return (await (found ??= find())).missing;
}

/**
 * One interpreter.
 *
 * @param name The kind.
 * @param version Its version or the start of it: `24`, `"2.3"`. Without it the newest.
 * @returns the interpreter
 * @throws {Error} when it cannot be installed here, with the reason
 */
export async function runtime(name: RuntimeName, version?: number | string): Promise<Runtime> {
  const matches = (it: { name: string; version: string }): boolean =>
    it.name === name && (version === undefined || `${it.version}.`.startsWith(`${version}.`));
  const match = (await runtimes()).findLast(matches);
  if (match) return match;
  const reason = (await missingRuntimes()).find(matches)?.reason ??
    "it is not in the list of tests/support/runtimes.ts";
  throw new Error(`Cannot run ${name} ${version ?? ""}: ${reason}`);
}

/**
 * The argv that evaluates a script in an interpreter, bare: nothing of this project's configuration is seen.
 *
 * @param runtime The interpreter.
 * @param script The script.
 * @param args Arguments of the script.
 * @returns program and arguments
 */
export function evalArgs(runtime: Runtime, script: string, ...args: string[]): string[] {
  return [runtime.path, ...(runtime.name === "deno" ? ["eval", "--no-config"] : ["-e"]), script, ...args];
}

/** The oldest and the newest interpreters of each kind: a filter for {@linkcode testEachRuntime} for what takes a while. */
export function isAtAnEnd({ version }: { version: string }): boolean {
  return /^(2\.0|2\.9|20|26|1)\./.test(version);
}

/** Milliseconds that any test may take. */
const LONGEST = 300_000;

/**
 * Declares a test for each interpreter. One that is missing shows up as an ignored test that names the reason; where `CI` is `true` it fails.
 *
 * @param name What is tested; the interpreter's name and version are added.
 * @param body The test.
 * @param filter Which interpreters; all when left out.
 */
export async function testEachRuntime(
  name: string,
  body: (runtime: Runtime, context: Deno.TestContext) => Promise<void> | void,
  filter: (runtime: { name: RuntimeName; version: string }) => boolean = () => true,
): Promise<void> {
  for (const it of (await runtimes()).filter(filter)) {
    Deno.test(`${name} [${it.name} ${it.version}]`, (context) => inTime(body(it, context), LONGEST));
  }
  for (const it of (await missingRuntimes()).filter(filter)) {
    const reason = `${it.name} ${it.version} is missing: ${it.reason}`;
    Deno.test({
      name: `${name} [${reason}]`,
      ignore: Deno.env.get("CI") !== "true",
      fn: () => {
        throw new Error(reason);
      },
    });
  }
}
