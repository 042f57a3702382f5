/**
 * `across socketserver`: prints the server that is one script, or runs it here.
 *
 * @module
 */

import { parseArgs } from "@std/cli";
import process from "node:process";
import { getSocketServer, Group } from "../gateways/mod.ts";
import { addressOf, secretOf } from "./address.ts";
import { given, refuseUnknown, UsageError } from "./command_line.ts";
import { alarm, printError, printOut } from "./terminal.ts";

/** What `across socketserver --help` prints. */
export const SOCKETSERVER_HELP: string = `across socketserver: print a server that is one script

Usage: across socketserver [OPTION]...

  deno eval "$(across socketserver)"
  node -e "$(across socketserver --tcp 127.0.0.1:0)"
  across socketserver --tcp 0.0.0.0:8888 --secret-file key |
    ssh wonderland node -               # or: deno run -A -, bun run -

Whoever runs the script needs nothing but a bare deno, node or bun. It listens, and
gives each client an interpreter of its own, which gets across and all modules from
the client: for gateways of type socket=, and for --tcp of the other commands.
Whoever may connect can do whatever the user can do who runs it, so it listens on
its own machine only, unless there is a secret, which is asked for before anything
is started. The secret is in the script: pass that over stdin where others can
see command lines.

Options:
  --tcp HOST:PORT     where it listens, 127.0.0.1:8888 without it; port 0 is any
                      that is free
  --secret-file FILE  a secret that clients must prove to know
  --run               do not print it, but run it in a bare interpreter on this
                      machine until Ctrl-C or SIGTERM
  --runtime NAME      with --run: deno, node, bun or the path of one of them
  -h, --help          print this

Where it listens the script prints on stdout, and --run on stderr: "listening on tcp
127.0.0.1:8888". Exit code: 0 when it was printed, or ended by Ctrl-C or SIGTERM, 1
when it cannot listen, 2 when the command line is wrong.
`;

/** Runs the script in an interpreter that ends with us, however we end. Gives the exit code. */
async function run(script: string, runtime: string | undefined): Promise<number> {
  const { promise: stopped, resolve: stop } = Promise.withResolvers<number>();
  const interrupt = (): void => stop(0);
  for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, interrupt);
  const group = new Group();
  const serving = async (): Promise<number> => {
    const server = await group.makeGateway({ popen: true, ...(runtime === undefined ? {} : { runtime }) });
    const channel = server.remoteExec(script);
    const found = await channel.receive<Error | readonly [host: string, port: number]>();
    if (found instanceof Error) throw found;
    const [host, port] = found;
    printError(`listening on tcp ${host.includes(":") ? `[${host}]` : host}:${port}\n`);
    await server.join();
    throw new Error("The interpreter that listened has ended");
  };
  try {
    return await Promise.race([serving(), stopped]);
  } catch (error) {
    printError(`${alarm("error")}: ${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  } finally {
    await group[Symbol.asyncDispose]();
    for (const signal of ["SIGINT", "SIGTERM"]) process.off(signal, interrupt);
  }
}

/**
 * Runs the command.
 *
 * @param args What follows `socketserver` on the command line.
 * @returns the exit code
 * @throws {UsageError} when the command line is wrong
 */
export async function socketserver(args: readonly string[]): Promise<number> {
  const flags = parseArgs([...args], {
    boolean: ["help", "run"],
    string: ["tcp", "secret-file", "runtime"],
    alias: { h: "help" },
    unknown: refuseUnknown,
  });
  if (flags.help) {
    printOut(SOCKETSERVER_HELP);
    return 0;
  }
  if (flags._.length > 0) {
    throw new UsageError(`The command socketserver takes no argument, but was given "${flags._[0]}"`);
  }
  const [address = "127.0.0.1:8888"] = given("tcp", [flags.tcp]);
  const [runtime] = given("runtime", [flags.runtime]);
  if (runtime !== undefined && !flags.run) throw new UsageError("--runtime goes with --run");
  const { host, port } = addressOf("tcp", address);
  const secret = secretOf(flags["secret-file"]);
  let script: string;
  try {
    script = getSocketServer({ host, port, ...(secret === undefined ? {} : { secret }) });
  } catch (error) {
    throw new UsageError(`${(error as Error).message}: pass --secret-file`);
  }
  if (flags.run) return await run(script, runtime);
  printOut(`${script}\n`);
  return 0;
}
