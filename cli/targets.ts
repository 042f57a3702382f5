/**
 * Where a command is to run: targets from the command line, and the connection to each. What is done over it is up to the commands.
 *
 * @module
 */

import { biosCommand, Connection } from "../mod.ts";
import { given } from "./command_line.ts";

/** One place to run something in. */
export interface Target {
  /** What the user calls it. */
  readonly name: string;
  /**
   * Starts to connect.
   *
   * @param stderr Where the text goes that the far side prints; without it to our own stderr.
   * @returns the connection
   */
  connect(stderr?: WritableStream<Uint8Array>): Connection;
}

/** The flags that choose targets, as `parseArgs` read them. */
export interface TargetFlags {
  readonly ssh?: readonly string[];
  readonly command?: readonly string[];
  readonly runtime?: string | undefined;
}

/**
 * The targets that the flags name; without any it is a bare interpreter on this machine.
 *
 * @param flags The flags.
 * @returns at least one target, each name once
 * @throws {UsageError} when a flag lacks its value
 */
export function targetsOf(flags: TargetFlags): Target[] {
  const [runtime] = given("runtime", [flags.runtime]);
  const choice = runtime === undefined ? {} : { runtime };
  const ssh = given("ssh", flags.ssh ?? []).map((host): Target => ({
    name: host,
    connect: (stderr) => Connection.fromSsh(host, { ...choice, ...(stderr && { stderr }) }),
  }));
  const commands = given("command", flags.command ?? []).map((command): Target => ({
    name: command,
    connect: (stderr) => Connection.fromShell(command, stderr && { stderr }),
  }));
  const all = [...ssh, ...commands];
  if (all.length === 0) {
    all.push({
      name: runtime ?? "local",
      connect: (stderr) => Connection.fromCommand(biosCommand(choice), stderr && { stderr }),
    });
  }
  return all.map((target, index) => {
    const same = all.slice(0, index).filter(({ name }) => name === target.name).length;
    return same === 0 ? target : { ...target, name: `${target.name} (${same + 1})` };
  });
}
