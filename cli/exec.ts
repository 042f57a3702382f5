/**
 * `across exec`: executes a piece of JavaScript on all targets at once, and prints the value of its last expression.
 *
 * @module
 */

import { text } from "node:stream/consumers";
import process from "node:process";
import { UsageError } from "./command_line.ts";
import { fanOut } from "./fan_out.ts";
import { COMMON_HELP, commonOf, EXIT_HELP, readFlags, TARGETS_HELP } from "./options.ts";
import { targetsOf } from "./targets.ts";
import { printOut } from "./terminal.ts";

/** What `across exec --help` prints. */
export const EXEC_HELP: string = `across exec: execute JavaScript somewhere else

Usage: across exec [OPTION]... CODE

CODE is statements or an expression, in which "await" works; the value of the last
expression is printed. With - it is read from stdin.

  across exec 'Deno.hostname()' --ssh a --ssh b
  across exec 'process.version' --runtime node
  across exec - --ssh a < script.js

${TARGETS_HELP}
Options:
${COMMON_HELP}
${EXIT_HELP}`;

/**
 * Runs the command.
 *
 * @param args What follows `exec` on the command line.
 * @returns the exit code
 * @throws {UsageError} when the command line is wrong
 */
export async function exec(args: readonly string[]): Promise<number> {
  const flags = readFlags(args);
  if (flags.help) {
    printOut(EXEC_HELP);
    return 0;
  }
  const [code, ...rest] = flags._.map(String);
  if (code === undefined) throw new UsageError("There is no code to execute");
  if (rest.length > 0) {
    throw new UsageError(`The command exec takes one piece of code, but was given "${rest[0]}", too`);
  }
  if (code === "-" && flags.stdio) throw new UsageError("With --stdio, code cannot be read from stdin");
  const targets = targetsOf(flags);
  const common = commonOf(flags);
  const source = code === "-" ? await text(process.stdin) : code;
  return await fanOut(targets, common, async ({ scope }) => await scope.execute(source));
}
