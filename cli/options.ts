/**
 * The flags that commands with targets have in common: which targets, how many at once, how long, and how results are printed.
 *
 * @module
 */

import { parseArgs } from "@std/cli";
import { setDebugLevel } from "../mod.ts";
import { given, refuseUnknown, UsageError } from "./command_line.ts";
import type { TargetFlags } from "./targets.ts";

/** What the help texts say of them. */
export const TARGETS_HELP = `Targets, as many as you like; without any it is --local:
  --ssh HOST          a machine, as ssh knows it: HOST, USER@HOST, ssh://...
  --tcp HOST:PORT     a server, as "across serve" runs it; [::1]:1865 for IPv6
  --unix PATH         a server on a Unix socket
  --command CMD       a shell command that starts an interpreter with the BIOS, as
                      docker exec -i web node -e "$(across bios)"
  --local             a bare interpreter on this machine
  --stdio             whoever started this command, over its stdin and stdout;
                      results go to stderr then
`;

/** Likewise. */
export const COMMON_HELP = `  --runtime NAME      deno, node, bun or the path of one of them, for --ssh and
                      --local; without it what is found first
  --jobs N            visit so many targets at once; 64 without it
  --timeout SECONDS   give a target up after so long, connecting included
  --secret-file FILE  the secret of the servers, for --tcp and --unix
  --json              print a line of JSON per target: target, ok, ms, and value or
                      error
  -v, -vv             tell what happens to connections, and of each message, too
  -h, --help          print this
`;

/** The last part of each of their help texts. */
export const EXIT_HELP = `Results go to stdout, those of --ssh first, then --tcp, --unix, --command and
--local, each in their order; what the far side prints goes to stderr. Exit code:
0 when all went well, 1 when a target failed, 2 when the command line is wrong,
130 after Ctrl-C (143 after SIGTERM), which cancels what runs over there and waits
for it; a second one kills.
`;

/** How targets are visited, and results printed. */
export interface Common {
  /** How many at once. */
  readonly jobs: number;
  /** Milliseconds for each, if that is bounded. */
  readonly timeout?: number;
  readonly json: boolean;
}

/** The flags as they were given. */
export interface Flags extends TargetFlags {
  readonly help: boolean;
  readonly json: boolean;
  readonly verbose: unknown;
  readonly jobs?: string;
  readonly timeout?: string;
  /** Of some commands only. */
  readonly export?: string;
  /** Likewise. */
  readonly count?: string;
  /** What is no flag. */
  readonly _: readonly (string | number)[];
}

/** Targets that are visited at once unless the user says otherwise. */
const JOBS = 64;

/**
 * Parses a command line.
 *
 * @param args The arguments of the command.
 * @param own A flag with a value that only this command has.
 * @param stopEarly Whether what follows the first argument is none of our business.
 * @throws {UsageError} when there is a flag that we do not know
 */
export function readFlags(args: readonly string[], own?: "export" | "count", stopEarly = false): Flags {
  const more = own === undefined ? [] : [own];
  return parseArgs([...args], {
    boolean: ["help", "json", "local", "stdio", "verbose"],
    string: ["ssh", "tcp", "unix", "command", "runtime", "jobs", "timeout", "secret-file", ...more],
    collect: ["ssh", "tcp", "unix", "command", "verbose"],
    alias: { h: "help", v: "verbose" },
    unknown: refuseUnknown,
    stopEarly,
  });
}

/**
 * Reads a number from the command line.
 *
 * @param flag The flag, for the error.
 * @param text What was given, if anything.
 * @param least The smallest that makes sense.
 * @throws {UsageError} when it is none
 */
export function numberOf(flag: string, text: string | undefined, least: number): number | undefined {
  const [value] = given(flag, [text]);
  if (value === undefined) return undefined;
  const number = Number(value);
  if (Number.isFinite(number) && number >= least) return number;
  throw new UsageError(`Flag "--${flag}" needs a number of at least ${least}, but was given "${value}"`);
}

/**
 * Reads the common flags, and has across say as much about itself as they want.
 *
 * @throws {UsageError} when one makes no sense
 */
export function commonOf({ jobs, timeout, json, verbose }: Flags): Common {
  setVerbosity(verbose);
  const count = numberOf("jobs", jobs, 1);
  const seconds = numberOf("timeout", timeout, 0.001);
  return {
    jobs: Math.floor(count ?? JOBS),
    json,
    ...(seconds === undefined ? {} : { timeout: seconds * 1000 }),
  };
}

/** Has across say as much about itself as `-v` was given times. */
export function setVerbosity(verbose: unknown): void {
  const times = Array.isArray(verbose) ? verbose.filter(Boolean).length : Number(verbose === true);
  if (times > 0) setDebugLevel(times === 1 ? 1 : 2);
}
