/**
 * `across ping`: tells what is at the other end of each target, and how fast it answers.
 *
 * @module
 */

import { type CallScope, DisconnectError, has, OperationError } from "../mod.ts";
import { UsageError } from "./command_line.ts";
import { fanOut } from "./fan_out.ts";
import { COMMON_HELP, commonOf, EXIT_HELP, numberOf, readFlags, TARGETS_HELP } from "./options.ts";
import { targetsOf } from "./targets.ts";
import { printOut } from "./terminal.ts";

/** What `across ping --help` prints. */
export const PING_HELP: string = `across ping: tell what is at the other end, and how fast it answers

Usage: across ping [OPTION]...

For each target: runtime and versions, the time until the handshake was done
(starting a process or logging in included), and the time of a round trip (the
median of several, the fastest, the slowest).

${TARGETS_HELP}
Options:
  --count N           measure so many round trips; 10 without it
${COMMON_HELP}
${EXIT_HELP}`;

/** Round trips that are measured unless the user says otherwise. */
const COUNT = 10;

/** Waits for an answer. What a peer does not expose it refuses, which takes as long. */
async function answer(scope: CallScope): Promise<void> {
  try {
    await has(scope.root<{ ping?: unknown }>(), "ping");
  } catch (error) {
    if (!(error instanceof OperationError) || error instanceof DisconnectError) throw error;
  }
}

const ms = (time: number): number => Math.round(time * 1000) / 1000;

/**
 * Runs the command.
 *
 * @param args What follows `ping` on the command line.
 * @returns the exit code
 * @throws {UsageError} when the command line is wrong
 */
export async function ping(args: readonly string[]): Promise<number> {
  const flags = readFlags(args, "count");
  if (flags.help) {
    printOut(PING_HELP);
    return 0;
  }
  if (flags._.length > 0) throw new UsageError(`The command ping takes no argument, but was given "${flags._[0]}"`);
  const count = Math.floor(numberOf("count", flags.count, 1) ?? COUNT);
  const targets = targetsOf(flags);
  const common = commonOf(flags);
  return await fanOut(targets, common, async ({ connection, scope, until }) => {
    const start = performance.now();
    await until(connection.ready());
    const handshake = ms(performance.now() - start);
    const times: number[] = [];
    for (let i = 0; i < count; i++) {
      const before = performance.now();
      await answer(scope);
      times.push(ms(performance.now() - before));
    }
    times.sort((a, b) => a - b);
    const [roundTrip, fastest, slowest] = [times[times.length >> 1]!, times[0]!, times.at(-1)!];
    const { runtime = "?", version = "?", across = "?", host, pid } = connection.status().peer ?? {};
    if (common.json) return { runtime, version, across, host, pid, handshake, roundTrip, fastest, slowest };
    const place = `${host === undefined ? "" : ` on ${host}`}${pid === undefined ? "" : `, process ${pid}`}`;
    return `${runtime} ${version}${place}, across ${across}: ` +
      `handshake ${handshake} ms, round trip ${roundTrip} ms (${fastest} to ${slowest})`;
  });
}
