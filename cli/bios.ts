/**
 * `across bios`: prints the script.
 *
 * @module
 */

import { parseArgs } from "@std/cli";
import { getBios } from "../bios/script.ts";
import { refuseUnknown, UsageError } from "./command_line.ts";
import { printOut } from "./terminal.ts";

/** What `across bios --help` prints. */
export const BIOS_HELP = `across bios: print the script that turns a bare interpreter into a remote end

Usage: across bios

  deno eval "$(across bios)"
  node -e "$(across bios)"
  ssh wonderland deno eval "$(across bios)"

The script is the same for deno, node and bun, and passes through one more shell
unharmed. It speaks to who started it over stdin and stdout.
`;

/**
 * Runs the command.
 *
 * @param args What follows `bios` on the command line.
 * @returns the exit code
 * @throws {UsageError} when the command line is wrong
 */
export function bios(args: readonly string[]): Promise<number> {
  const flags = parseArgs([...args], { boolean: ["help"], alias: { h: "help" }, unknown: refuseUnknown });
  if (flags._.length > 0) throw new UsageError(`The command bios takes no argument, but was given "${flags._[0]}"`);
  printOut(flags.help ? BIOS_HELP : `${getBios()}\n`);
  return Promise.resolve(0);
}
