/**
 * The command line of `ssh` that finds an interpreter on another machine and starts a remote end in it, in one round trip.
 *
 * @module
 */

import { choose } from "./command.ts";
import type { Permissions } from "./permissions.ts";
import { STAGE_1 } from "./script.ts";
import type { Kind } from "./shell.ts";
import { discovery, quote } from "./shell.ts";

/** How to log in on another machine and what to start there. */
export interface SshInit {
  /** Working directory of the remote end, from the home that a login starts in. */
  readonly cwd?: string | URL;
  /** Environment variables that the remote end gets beside those of the login. An interpreter is looked for in the `PATH` that is set here. */
  readonly env?: Record<string, string>;
  /** Whether it gets none of the login's but `HOME` and `PATH`. */
  readonly clearEnv?: boolean;
  /** Where stderr of `ssh`, which is also the remote end's, goes: see {@linkcode CommandInit}. */
  readonly stderr?: "inherit" | "null" | WritableStream<Uint8Array>;
  /**
   * The interpreter over there: `deno`, `node` or `bun`, looked for in `PATH` and where they are usually installed; the path of one; or `auto`, which
   * is the default: whichever is found first, in this order.
   */
  readonly runtime?: "auto" | "deno" | "node" | "bun" | (string & Record<never, never>);
  /** The program to use in place of `ssh`. */
  readonly sshCommand?: string;
  /** Further arguments of `ssh`, before the destination. What they set prevails over what across sets. */
  readonly sshArgs?: readonly string[];
  /** What the remote end may do; with it, it is Deno. See {@linkcode biosCommand}. */
  readonly permissions?: Permissions;
}

/** The system takes no longer single argument, which the whole command is to the login shell. */
const LONGEST = 131_000;

/**
 * - compression slows large transfers down by a factor of four, and modules are compressed already
 * - a dead link is noticed after 45 seconds, which is sooner than across itself would
 *
 * Whether to ask for passwords is left to the user's configuration: that goes over the terminal and not over stdin.
 */
const SSH_FLAGS = ["-T", "-x", "-o", "Compression=no", "-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=3"];

/** Refuses what no program can get as an argument. */
function word(text: unknown, what: string): string {
  if (typeof text !== "string" || text.includes("\0")) {
    throw new TypeError(`Cannot use ${JSON.stringify(text)} as ${what}: pass a string without NUL`);
  }
  return text;
}

/** Sets environment and working directory; the names of the variables are all that is needed to pass them on. */
function surroundings({ cwd, env = {}, clearEnv }: SshInit): { before: string; exec: string } {
  let before = "", exec = "";
  const set = (text: string, what: string) => quote(word(text, what)).replaceAll("\n", `'"$n"'`);
  if (cwd !== undefined) {
    const url = cwd instanceof URL ? cwd : undefined;
    if (url && url.protocol !== "file:") throw new TypeError(`Cannot use "${url}" as cwd: pass a path or file: URL`);
    const path = url ? decodeURIComponent(url.pathname) : word(cwd || undefined, "cwd");
    // Else the shell would take it for an option, or look for it in CDPATH.
    before += `cd ${set(path[0] === "/" ? path : `./${path}`, "cwd")}||exit;`;
  }
  const names = Object.keys(env);
  for (const name of names) {
    if (!/^[A-Za-z_]\w*$/.test(name)) {
      throw new TypeError(
        `Cannot set environment variable ${JSON.stringify(name)}: names have letters, digits and _ only`,
      );
    }
    before += `export ${name}=${set(env[name]!, `value of environment variable ${name}`)};`;
  }
  // The interpreter is looked for with the old environment, or it would hardly be found.
  if (clearEnv) {
    exec = `env -i ${[...new Set(["HOME", "PATH", ...names])].map((name) => `${name}="$${name}"`).join(" ")} `;
  }
  // Newlines would end the command where csh is the login shell.
  if (before.includes(`"$n"`)) before = `n=$(printf "\\012x");n=\${n%x};${before}`;
  return { before, exec };
}

/**
 * The command that starts a remote end on another machine.
 *
 * @param destination What `ssh` takes: `host`, `user@host`, a name from its configuration, or an `ssh:` URL.
 * @param init What to start, and how.
 * @returns program and arguments
 * @throws {TypeError} when that makes no sense
 * @throws {RangeError} when it is too long for a command line
 */
export function sshCommand(destination: string, init: SshInit = {}): string[] {
  const { runtime = "auto", permissions, sshCommand = "ssh", sshArgs = [] } = init;
  // An option in disguise could run a program of its own choosing here.
  if (!word(destination, "destination") || destination[0] === "-") {
    throw new TypeError(
      `Cannot connect to ${JSON.stringify(destination)}: a destination is not empty and does not start with "-"`,
    );
  }
  const { kind, path, flags } = choose(runtime === "auto" ? undefined : runtime, permissions);
  const kinds: readonly Kind[] = permissions ? ["deno"] : kind && !path ? [kind] : ["deno", "node", "bun"];
  const { before, exec } = surroundings(init);
  const text = before + discovery({ path, kinds, flags, before: exec });
  const command = `exec sh -c ${quote(text)} sh ${quote(STAGE_1)}`;
  const { length } = new TextEncoder().encode(command);
  if (length > LONGEST) {
    throw new RangeError(
      `Cannot pass ${length} bytes to "${destination}": all of env and cwd must stay below ${LONGEST}`,
    );
  }
  return [
    word(sshCommand, "sshCommand"),
    ...sshArgs.map((arg) => word(arg, "sshArgs")),
    ...SSH_FLAGS,
    "--",
    destination,
    command,
  ];
}
