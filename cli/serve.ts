/**
 * `across serve`: lets clients run their code here.
 *
 * @module
 */

import { parseArgs } from "@std/cli";
import { readFileSync } from "node:fs";
import process from "node:process";
import { Connection } from "../mod.ts";
import {
  BiosConnectionHandler,
  type ConnectionHandler,
  LocalConnectionHandler,
  ProcessConnectionHandler,
  type RunInit,
  runTcp,
  runUnix,
} from "../servers/mod.ts";
import { addressOf, secretOf } from "./address.ts";
import { given, refuseUnknown, UsageError } from "./command_line.ts";
import { numberOf, setVerbosity } from "./options.ts";
import { printError, printOut } from "./terminal.ts";

/** What `across serve --help` prints. */
export const SERVE_HELP: string = `across serve: let clients run their code here

Usage: across serve --tcp HOST:PORT | --unix PATH | --stdio [OPTION]...

Serves until Ctrl-C, SIGTERM or, with --stdio, the end of stdin. Whoever may connect
can do whatever you can do: a server is a shell. So it listens on this machine only
unless there is a secret, or TLS with --client-ca.

Where it listens, one or several:
  --tcp HOST:PORT        a port, [::1]:1865 for IPv6; port 0 is any that is free
  --unix PATH            a Unix socket, which only you can use
  --stdio                one client, over stdin and stdout

Options:
  --handler NAME         what serves a client: "bios" (without it), a bare interpreter
                         of its own, which gets across and all modules from the
                         client; "process", a process with this across; "local", this
                         process
  --secret-file FILE     a secret that clients must prove to know
  --cert FILE, --key FILE
                         make it TLS, with this certificate and its key, in PEM
  --client-ca FILE       clients must show a certificate of one of these
  --max-connections N    turn further ones away
  --timeout SECONDS      how long a client may be silent, and children may take to
                         end; 60 without it
  --insecure             let everybody connect from everywhere
  -v, -vv                tell what happens to connections, and of each message, too
  -h, --help             print this

What it listens on is printed on stderr, a line each: "listening on tcp
127.0.0.1:1865". Exit code: 0 after Ctrl-C or SIGTERM, 1 when it cannot listen, 2
when the command line is wrong.
`;

const HANDLERS = {
  bios: BiosConnectionHandler,
  local: LocalConnectionHandler,
  process: ProcessConnectionHandler,
} as const;

/** The text of a file that a flag names. */
function fileOf(flag: string, path: string | undefined): string | undefined {
  const [file] = given(flag, [path]);
  if (file === undefined) return undefined;
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new UsageError(`Cannot read what --${flag} names: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** What the flags say of TLS. */
function tlsOf(flags: { cert?: string; key?: string; "client-ca"?: string }): Pick<RunInit, "tls"> {
  const cert = fileOf("cert", flags.cert), key = fileOf("key", flags.key);
  const ca = fileOf("client-ca", flags["client-ca"]);
  if (cert === undefined && key === undefined && ca === undefined) return {};
  if (cert === undefined || key === undefined) throw new UsageError("TLS needs both --cert and --key");
  return { tls: { cert, key, ...(ca === undefined ? {} : { requestCert: true, caCerts: [ca] }) } };
}

/**
 * Runs the command.
 *
 * @param args What follows `serve` on the command line.
 * @returns the exit code
 * @throws {UsageError} when the command line is wrong
 */
export async function serve(args: readonly string[]): Promise<number> {
  const flags = parseArgs([...args], {
    boolean: ["help", "stdio", "insecure", "verbose"],
    string: ["tcp", "unix", "handler", "secret-file", "cert", "key", "client-ca", "max-connections", "timeout"],
    collect: ["tcp", "unix", "verbose"],
    alias: { h: "help", v: "verbose" },
    unknown: refuseUnknown,
  });
  if (flags.help) {
    printOut(SERVE_HELP);
    return 0;
  }
  if (flags._.length > 0) throw new UsageError(`The command serve takes no argument, but was given "${flags._[0]}"`);
  const ports = given("tcp", flags.tcp).map((text) => addressOf("tcp", text));
  const paths = given("unix", flags.unix);
  const [name = "bios"] = given("handler", [flags.handler]);
  if (!Object.hasOwn(HANDLERS, name)) {
    throw new UsageError(`There is no handler "${name}": there are ${Object.keys(HANDLERS).join(", ")}`);
  }
  const seconds = numberOf("timeout", flags.timeout, 0.001);
  const maxConnections = numberOf("max-connections", flags["max-connections"], 1);
  const secret = secretOf(flags["secret-file"]);
  const tls = tlsOf(flags);
  const options = {
    ...(seconds === undefined ? {} : { timeout: seconds * 1000 }),
    // A process of its own may be given modules; in ours they would stay.
    ...(name === "process" ? { acceptExportedModules: true } : {}),
  };
  setVerbosity(flags.verbose);
  if (flags.stdio) {
    if (ports.length + paths.length > 0) throw new UsageError("--stdio goes with no other place to listen");
    const connection = Connection.fromStdio({
      acceptExportedModules: true,
      ...options,
      ...(secret === undefined ? {} : { secret }),
    });
    await connection.wait();
    await connection.close();
    return 0;
  }
  if (ports.length + paths.length === 0) {
    throw new UsageError("There is nowhere to listen: pass --tcp, --unix or --stdio");
  }

  await using handler: ConnectionHandler = new HANDLERS[name as keyof typeof HANDLERS](options);
  const stop = new AbortController();
  const init: RunInit = {
    handler,
    signal: stop.signal,
    insecure: flags.insecure,
    ...(secret === undefined ? {} : { secret }),
    ...(maxConnections === undefined ? {} : { maxConnections }),
    onListen: ({ transport, hostname, port }) =>
      printError(
        `listening on ${transport} ${
          transport === "unix" ? hostname : `${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`
        }\n`,
      ),
  };
  // A second signal while clients are waited for does not wait for them.
  let interrupted = false;
  const interrupt = (): void => {
    if (interrupted) handler.cancel();
    interrupted = true;
  };
  for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, interrupt);
  try {
    const running = [
      ...ports.map(({ host, port }) => runTcp(host, port, { ...init, ...tls })),
      ...paths.map((path) => runUnix(path, init)),
    ];
    // When one of them cannot listen, all end.
    await Promise.all(running.map((it) =>
      it.catch((error) => {
        stop.abort();
        throw error;
      })
    ));
    await handler.close();
    return 0;
  } catch (error) {
    printError(`error: ${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  } finally {
    for (const signal of ["SIGINT", "SIGTERM"]) process.off(signal, interrupt);
  }
}
