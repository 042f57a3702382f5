/**
 * From a specification to a connection. This runs here, or on the gateway that is to start another one. What a gateway makes of the connection is in
 * `gateway.ts`.
 *
 * @module
 */

import type { PortLike } from "../mod.ts";
import { biosCommand, Connection, workerUrl } from "../mod.ts";
import type { Surroundings } from "../runtime/surroundings.ts";
import { startWorker } from "../runtime/worker.ts";
import { HostNotFound } from "./errors.ts";
import type { XSpec } from "./spec.ts";

/** Quotes a word for the shell. */
const quote = (word: string): string => `'${word.replaceAll("'", `'\\''`)}'`;

/** Puts a command into a template. */
function fill(template: string, command: readonly string[]): string {
  const words = command.map(quote).join(" ");
  return template.includes("{}") ? template.replaceAll("{}", () => words) : `${template} ${words}`;
}

/**
 * What is left to be changed from inside, when the other side runs: everywhere but where the command line has seen to it.
 *
 * @param spec The specification.
 */
export function surroundings(spec: XSpec): Surroundings {
  const { type, chdir, nice, env, permissions } = spec;
  const outside = type === "popen" || type === "ssh";
  return {
    // In the sandbox it could not be changed.
    ...(chdir === undefined || outside && permissions ? {} : { chdir }),
    ...(nice === undefined || !["ssh", "socket", "unix"].includes(type) ? {} : { nice }),
    ...(outside ? {} : { env }),
  };
}

/**
 * Starts, or dials, what a specification says.
 *
 * @param spec The specification; `via` is not looked at.
 * @returns A connection that may be not ready yet.
 */
export async function dial(spec: XSpec): Promise<Connection> {
  const { type, runtime, permissions, nice, env, chdir, secret } = spec;
  const init = { env: { ...env }, ...(permissions && chdir !== undefined ? { cwd: chdir } : {}) };
  const start = { ...(runtime === undefined ? {} : { runtime }), ...(permissions ? { permissions } : {}) };
  const options = secret === undefined ? {} : { secret };
  const nicely = nice === undefined ? [] : ["nice", "-n", String(nice)];
  const command = [...nicely, ...biosCommand({ ...start, elsewhere: true })];
  switch (type) {
    case "popen":
      return Connection.fromCommand([...nicely, ...biosCommand(start)], init);
    case "ssh": {
      const words = spec.ssh!.trim().split(/\s+/);
      const config = spec.ssh_config === undefined ? [] : ["-F", spec.ssh_config];
      return Connection.fromSsh(words.pop()!, { ...init, ...start, sshArgs: [...config, ...words] });
    }
    case "docker":
      return Connection.fromShell(fill(`exec docker exec -i ${quote(spec.docker!)}`, command));
    case "kubectl":
      return Connection.fromShell(fill(`exec kubectl exec -i ${quote(spec.kubectl!)} --`, command));
    case "command":
      return Connection.fromShell(fill(spec.command!, command));
    case "worker":
      return Connection.fromPort(await startWorker(workerUrl()) as PortLike, { acceptCalls: false });
    case "unix":
      return Connection.fromUnix(spec.unix!, options);
    case "socket": {
      const [, host, port] = /^(.*):(\d+)$/.exec(spec.socket!)!;
      return Connection.fromTcp(host!.replace(/^\[(.*)\]$/, "$1"), Number(port), options);
    }
  }
}

/**
 * Why there is no connection, in the words of what was asked.
 *
 * @param spec What was asked.
 * @param error What went wrong.
 * @param what What could not be done, where the words alone do not say whose they are.
 */
export function failure(spec: XSpec, error: unknown, what?: string): unknown {
  if (!(error instanceof Error)) return error;
  const said = (text: string) => what === undefined ? text : `${what}: ${text}`;
  const ended = /exited with status 255(?: before the handshake)?(?:: ([^]*))?$/.exec(error.message);
  if (spec.type === "ssh" && ended) {
    return new HostNotFound(said(ended[1]?.trim() || `ssh could not connect to "${spec.ssh}"`), { cause: error });
  }
  const unreachable =
    /refused|resolve|lookup|unreachable|timed out|no such host|ENOTFOUND|ECONNREFUSED|ENOENT|No such file|not known/i;
  if ((spec.type === "socket" || spec.type === "unix") && unreachable.test(`${error.name} ${error.message}`)) {
    return new HostNotFound(said(`Cannot reach ${spec.socket ?? spec.unix}: ${error.message}`), { cause: error });
  }
  return what === undefined ? error : new Error(said(error.message), { cause: error });
}
