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

Usage: across COMMAND [OPTION]... [ARGUMENT]...

Commands:
  run          run a function of a local module on one or several targets
  exec         execute a piece of JavaScript there
  ping         tell what is there, and how fast it answers
  serve        let clients run their code here
  rsync        copy a directory to one or several machines
  socketserver print a server that is one script, for machines without across
  bios         print the script that turns a bare interpreter into a remote end
  completions  print what makes bash, zsh or fish complete commands and flags

Options:
  -h, --help       print this; after a command: its help
  -V, --version    print the version

A target is a machine behind ssh, a server, a shell command that starts an
interpreter, or a bare interpreter here. Nothing but deno, node or bun has to be
installed there: across sends itself, your module and all that it imports.

Examples:
  across run --ssh wonderland census.ts /home
  across run --ssh a --ssh b --json --export disks report.ts
  across exec 'Deno.hostname()' --ssh a --ssh b
  across serve --tcp 127.0.0.1:1865
  across ping --tcp 127.0.0.1:1865
  across rsync ./site --ssh a:/srv/site --ssh b:/srv/site --delete
  ssh wonderland deno eval "$(across bios)"

Environment:
  NO_COLOR            no colours, also on a terminal
  ACROSS_DEBUG=1      write what is sent and received, but for what is in it, to
                      across-debug-PID in the temporary directory; 2: to stderr
  ACROSS_TRACE=FILE   write a trace of all messages, which Perfetto opens

Exit code: 0 when all went well, 1 when something failed, 2 when the command line
is wrong, 128 and the signal's number when one ended it (130 after Ctrl-C).
`;

type Command = (args: readonly string[]) => Promise<number>;

/** Loaded when they are asked for: `$(across bios)` is waited for, and needs none of what the others need. */
const COMMANDS: { readonly [name: string]: () => Promise<Command> } = {
  bios: async () => (await import("./cli/bios.ts")).bios,
  completions: async () => (await import("./cli/completions.ts")).completions,
  exec: async () => (await import("./cli/exec.ts")).exec,
  ping: async () => (await import("./cli/ping.ts")).ping,
  serve: async () => (await import("./cli/serve.ts")).serve,
  rsync: async () => (await import("./cli/rsync.ts")).rsync,
  run: async () => (await import("./cli/run.ts")).run,
  socketserver: async () => (await import("./cli/socketserver.ts")).socketserver,
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
    if (!(error instanceof UsageError)) {
      // For example of a module that cannot be loaded: where that is says its stack.
      printError(`${alarm("error")}: ${error instanceof Error ? error.stack ?? error.message : String(error)}\n`);
      return 1;
    }
    const command = Object.hasOwn(COMMANDS, args[0] ?? "") ? ` ${args[0]}` : "";
    printError(`${alarm("error")}: ${error.message}. Try "across${command} --help"\n`);
    return 2;
  }
}

if (import.meta.main) process.exitCode = await main(process.argv.slice(2));
