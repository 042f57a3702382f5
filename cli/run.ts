/**
 * `across run`: exports a module to all targets at once, calls one of its functions there, and prints what came back.
 *
 * @module
 */

import { stat } from "node:fs/promises";
import { pathToFileURL } from "node:url";
import { given, UsageError } from "./command_line.ts";
import { fanOut } from "./fan_out.ts";
import { COMMON_HELP, commonOf, EXIT_HELP, readFlags, TARGETS_HELP } from "./options.ts";
import { targetsOf } from "./targets.ts";
import { printOut } from "./terminal.ts";

/** What `across run --help` prints. */
export const RUN_HELP: string = `across run: run a function of a local module somewhere else

Usage: across run [OPTION]... MODULE [ARGUMENT]...

MODULE and everything that it imports travels to each target, where its default
export is called with the arguments, as strings. Nothing but deno, node or bun
has to be installed there.

${TARGETS_HELP}
Options, all before MODULE:
  --export NAME       call this export instead of the default one
${COMMON_HELP}
${EXIT_HELP}`;

type Callable = (...args: string[]) => unknown;

/** Loads the module here to learn which function is meant: what travels is its name. */
async function load(path: string, name: string): Promise<{ url: URL; fn: Callable }> {
  const url = /^file:\/\//.test(path) ? new URL(path) : pathToFileURL(path);
  if (!await stat(url).then((it) => it.isFile(), () => false)) throw new UsageError(`Cannot find module "${path}"`);
  const module: Record<string, unknown> = await import(url.href);
  const fn = Object.hasOwn(module, name) ? module[name] : undefined;
  if (typeof fn === "function") return { url, fn: fn as Callable };
  const functions = Object.keys(module).filter((key) => typeof module[key] === "function");
  throw new UsageError(
    `Module "${path}" exports no function "${name}": ` +
      (functions.length > 0 ? `there is ${functions.join(", ")}` : "it exports no function at all"),
  );
}

/**
 * Runs the command.
 *
 * @param args What follows `run` on the command line.
 * @returns the exit code
 * @throws {UsageError} when the command line is wrong
 */
export async function run(args: readonly string[]): Promise<number> {
  const flags = readFlags(args, "export", true); // what follows the module belongs to its function
  if (flags.help) {
    printOut(RUN_HELP);
    return 0;
  }
  const [path, ...rest] = flags._.map(String);
  if (path === undefined) throw new UsageError("There is no module to run");
  const targets = targetsOf(flags);
  const common = commonOf(flags);
  const [name = "default"] = given("export", [flags.export]);
  const { url, fn } = await load(path, name);
  return await fanOut(targets, common, async ({ connection, scope, until }) => {
    await until(connection.export(url));
    return await scope.call(fn, ...rest);
  });
}
