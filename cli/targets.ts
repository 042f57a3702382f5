/**
 * Where a command is to run: targets from the command line, and the connection to each. What is done over it is up to the commands.
 *
 * @module
 */

import { biosCommand, Connection } from "../mod.ts";
import { addressOf, secretOf } from "./address.ts";
import { given, UsageError } from "./command_line.ts";

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
  readonly tcp?: readonly string[];
  readonly unix?: readonly string[];
  readonly command?: readonly string[];
  readonly local?: boolean;
  readonly stdio?: boolean;
  readonly runtime?: string | undefined;
  readonly "secret-file"?: string | undefined;
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
  const secret = secretOf(flags["secret-file"]);
  const proof = secret === undefined ? {} : { secret };
  const each = (flag: "ssh" | "tcp" | "unix" | "command", make: (text: string) => Target["connect"]): Target[] =>
    given(flag, flags[flag] ?? []).map((name) => ({ name, connect: make(name) }));
  const all = [
    ...each("ssh", (host) => {
      if (host.startsWith("-")) throw new UsageError(`Flag "--ssh" needs a HOST, but was given "${host}"`);
      return (stderr) => Connection.fromSsh(host, { ...choice, ...(stderr && { stderr }) });
    }),
    ...each("tcp", (text) => {
      const { host, port } = addressOf("tcp", text);
      if (port === 0) throw new UsageError(`Flag "--tcp" needs the port of a server, but was given "${text}"`);
      return () => Connection.fromTcp(host, port, proof);
    }),
    ...each("unix", (path) => () => Connection.fromUnix(path, proof)),
    ...each("command", (command) => (stderr) => Connection.fromShell(command, stderr && { stderr })),
  ];
  if (flags.stdio) {
    if (all.length > 0 || flags.local) throw new UsageError("The target --stdio goes with no other");
    return [{ name: "stdio", connect: () => Connection.fromStdio({ acceptCalls: false }) }];
  }
  if (all.length === 0 || flags.local) {
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
