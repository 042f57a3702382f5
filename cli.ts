/**
 * The `across` command: run local code in interpreters elsewhere, from the command line.
 *
 * ```sh
 * deno install -g -A -n across jsr:@x/across/cli
 * across run --ssh wonderland ./census.ts /home
 * ```
 *
 * @module
 */

import process from "node:process";
import { UsageError } from "./cli/command_line.ts";
import { alarm, printError, printOut } from "./cli/terminal.ts";
import { VERSION } from "./protocol/version.ts";

const HELP = `across: run local code in a bare deno, node or bun, here or far away

Usage: across COMMAND [ARGUMENT]...

Commands:
  run     run a function of a local module on one or several targets
  bios    print the script that turns a bare interpreter into a remote end

Options:
  -h, --help       print this; after a command: its help
  -V, --version    print the version

Examples:
  across run --ssh wonderland census.ts /home
  across run --ssh a --ssh b --json --export disks report.ts
  ssh wonderland deno eval "$(across bios)"

Exit code: 0 when all went well, 1 when something failed, 2 when the command line
is wrong. Colours are left out where NO_COLOR is set.
`;

type Command = (args: readonly string[]) => Promise<number>;

/** Loaded when they are asked for: `$(across bios)` is waited for, and needs none of what the others need. */
const COMMANDS: { readonly [name: string]: () => Promise<Command> } = {
  bios: async () => (await import("./cli/bios.ts")).bios,
  run: async () => (await import("./cli/run.ts")).run,
};

/**
 * Runs the command.
 *
 * @example
 * ```ts ignore
 * import { main } from "@x/across/cli";
 *
 * Deno.exitCode = await main(["run", "--ssh", "wonderland", "census.ts"]);
 * ```
 *
 * @param args The command line, without the program's name.
 * @returns the exit code
 */
export async function main(args: readonly string[]): Promise<number> {
  try {
    const [name = "", ...rest] = args;
    if (name === "--help" || name === "-h") printOut(HELP);
    else if (name === "--version" || name === "-V") printOut(`across ${VERSION}\n`);
    else if (Object.hasOwn(COMMANDS, name)) return await (await COMMANDS[name]!())(rest);
    else throw new UsageError(name === "" ? "There is no command" : `There is no command "${name}"`);
    return 0;
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    printError(`${alarm("error")}: ${error.message}. Try "across --help"\n`);
    return 2;
  }
}

if (import.meta.main) process.exitCode = await main(process.argv.slice(2));
