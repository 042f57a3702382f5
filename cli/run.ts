/**
 * `across run`: exports a module to all targets at once, calls one of its functions there, and prints what came back.
 *
 * @module
 */

import { parseArgs } from "@std/cli";
import { stat } from "node:fs/promises";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { type Connection, OperationError } from "../mod.ts";
import { given, refuseUnknown, UsageError } from "./command_line.ts";
import { type Target, targetsOf } from "./targets.ts";
import { alarm, forMachines, forPeople, heading, labelled, printError, printOut, progress } from "./terminal.ts";

/** What `across run --help` prints. */
export const RUN_HELP = `across run: run a function of a local module somewhere else

Usage: across run [OPTION]... MODULE [ARGUMENT]...

MODULE and everything that it imports travels to each target, where its default
export is called with the arguments, as strings. Nothing but deno, node or bun
has to be installed there. Without a target it runs in a bare interpreter here.

Targets, as many as you like:
  --ssh HOST        a machine, as ssh knows it: HOST, USER@HOST, ssh://...
  --command CMD     a shell command that starts an interpreter with the BIOS, as
                    docker exec -i web node -e "$(across bios)"

Options:
  --runtime NAME    deno, node, bun or the path of one of them, for --ssh and for
                    the interpreter here; without it what is found first
  --export NAME     call this export instead of the default one
  --json            print one line of JSON per target: target, ok, ms, and value
                    or error
  -h, --help        print this

Results go to stdout, in the order of the targets; what the function prints goes
to stderr. Exit code: 0 when all went well, 1 when a target failed, 2 when the
command line is wrong, 130 after Ctrl-C.
`;

type Callable = (...args: string[]) => unknown;

interface Outcome {
  readonly target: Target;
  readonly ms: number;
  readonly value?: unknown;
  readonly error?: unknown;
}

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

/** One line, or the stack where it leads somewhere: an error that the function threw. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return `Thrown: ${forPeople(error)}`;
  return error instanceof OperationError ? error.message : error.stack ?? String(error);
}

function print({ target, ms, value, error }: Outcome, json: boolean, alone: boolean): void {
  if (json) {
    const result = error === undefined ? { ok: true, ms, value } : { ok: false, ms, error };
    printOut(`${forMachines({ target: target.name, ...result })}\n`);
  } else if (error !== undefined) {
    printError(`${alarm(alone ? "error" : target.name)}: ${describe(error)}\n`);
  } else {
    const text = value === undefined ? "" : forPeople(value);
    if (alone) printOut(text === "" ? "" : `${text}\n`);
    else if (text.includes("\n")) printOut(`${heading(target.name)}:\n${text.replace(/^(?=.)/gm, "  ")}\n`);
    else printOut(`${heading(target.name)}: ${text}\n`);
  }
}

/**
 * Runs the command.
 *
 * @param args What follows `run` on the command line.
 * @returns the exit code
 * @throws {UsageError} when the command line is wrong
 */
export async function run(args: readonly string[]): Promise<number> {
  const flags = parseArgs([...args], {
    boolean: ["help", "json"],
    string: ["ssh", "command", "runtime", "export"],
    collect: ["ssh", "command"],
    alias: { h: "help" },
    stopEarly: true, // what follows the module belongs to its function
    unknown: refuseUnknown,
  });
  if (flags.help) {
    printOut(RUN_HELP);
    return 0;
  }
  const [path, ...rest] = flags._.map(String);
  if (path === undefined) throw new UsageError("There is no module to run");
  const targets = targetsOf(flags);
  const [name = "default"] = given("export", [flags.export]);
  const { url, fn } = await load(path, name);

  const open = new Set<Connection>();
  const waiting = new Set(targets);
  let interrupted = false;
  const interrupt = (): void => {
    if (interrupted) process.exit(130); // asked twice: at once
    interrupted = true;
    for (const connection of open) connection.cancel();
  };
  const show = (): void => {
    if (waiting.size === 0) return progress();
    const names = [...waiting].map((target) => target.name).join(", ");
    progress(`${targets.length - waiting.size}/${targets.length} done, waiting for ${names}`);
  };

  const visit = async (target: Target): Promise<Outcome> => {
    const start = performance.now();
    const outcome = (result: { value: unknown } | { error: unknown }): Outcome => ({
      target,
      ms: Math.round(performance.now() - start),
      ...result,
    });
    let connection: Connection | undefined;
    try {
      connection = target.connect(targets.length > 1 ? labelled(target.name) : undefined);
      open.add(connection);
      await connection.export(url);
      const value = await connection.call(fn, ...rest);
      await connection.close();
      return outcome({ value });
    } catch (error) {
      // What went wrong is known; the goodbye has nothing to add to it.
      await connection?.close().catch(() => {});
      return outcome({ error: error ?? new Error(`The function threw ${String(error)}`) });
    } finally {
      if (connection) open.delete(connection);
      waiting.delete(target);
      show();
    }
  };

  process.on("SIGINT", interrupt);
  try {
    show();
    const outcomes = targets.map(visit);
    let failed = false;
    for (const pending of outcomes) {
      const outcome = await pending;
      failed ||= outcome.error !== undefined;
      print(outcome, flags.json, targets.length === 1);
    }
    return interrupted ? 130 : failed ? 1 : 0;
  } finally {
    process.off("SIGINT", interrupt);
    progress();
  }
}
