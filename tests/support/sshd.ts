/**
 * A real sshd on loopback with throw-away keys, in the flavours that the tests need. It touches nothing of the machine's own ssh: keys,
 * configuration and known hosts lie in a temporary folder that {@linkcode Sshd.stop} removes. What is run over it is the tests' business.
 *
 * @module
 */

import { join } from "@std/path";
import { isThere, missing, run, which } from "./debian.ts";
import { condition, descendants, isAlive } from "./leaks.ts";

/** How the far side of the connection is to look. */
export interface SshdInit {
  /** Shell that parses the command, like a user's login shell: `sh`, `bash`, `dash`, `zsh` or a path. Default: the user's own. */
  shell?: string;
  /** Text that the login prints on stdout before the command runs, as a chatty profile does. */
  banner?: string;
  /**
   * Interpreters that the login finds: names to paths. They are put into a folder of their own, which is all of `PATH` beside the few tools of
   * {@linkcode TOOLS}. Default: `PATH` as it is here.
   */
  interpreters?: Readonly<Record<string, string>>;
  /** Further environment of the login, `HOME` for example. */
  env?: Readonly<Record<string, string>>;
}

/** How a client is to be misled. */
export interface ClientInit {
  /** `wrong`: the client knows another key for this host; `unknown`: it knows none and is told to be strict. */
  hostKey?: "wrong" | "unknown";
  /** `wrong`: the client's own key is one that the server does not know. */
  identity?: "wrong";
}

/** Commands that a login with `interpreters` has beside them. */
const TOOLS = [
  "sh",
  "bash",
  "dash",
  "zsh",
  "mksh",
  "env",
  "cat",
  "ls",
  "uname",
  "sleep",
  "true",
  "printf",
  "stty",
  "head",
  "base64",
];

/** The name that the client configuration gives to the server. */
const HOST = "wonderland";

/** A running server. */
export interface Sshd {
  /** Destination for `ssh` and `fromSsh`. */
  readonly destination: string;
  /** Arguments for `ssh` that make it find and trust the server, for `sshArgs`. */
  readonly sshArgs: readonly string[];
  readonly port: number;
  readonly pid: number;
  /** Arguments for a client that something is wrong with. */
  sshArgsWith(init: ClientInit): Promise<readonly string[]>;
  /** Processes of the sessions that are open now. */
  sessions(): number[];
  /** Ends all sessions from the server's side, as a dropped link or an administrator does. */
  killSessions(): void;
  /** What the server logged. */
  log(): Promise<string>;
  /** Ends server and sessions and removes the folder. */
  stop(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

const SERVER = "/usr/sbin/sshd"; // must be started by its full path: it starts itself anew for each connection

let available: Promise<string | undefined> | undefined;

/**
 * Why there is no sshd, installing it first where that is allowed.
 *
 * @returns the reason, or undefined when sshd can be started
 */
export function sshdMissing(): Promise<string | undefined> {
  return available ??= missing(
    SERVER,
    async () => await isThere(SERVER) && await which("ssh") !== undefined,
    ["openssh-server", "openssh-client"],
  );
}

/** A free port. Somebody else could take it before sshd does, which {@linkcode startSshd} notices and tries anew. */
function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

async function keygen(path: string): Promise<string> {
  await run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "across-tests", "-f", path);
  return (await Deno.readTextFile(`${path}.pub`)).trim();
}

const quote = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

/** The script that stands between sshd and the command, as login shell and profile would. */
async function loginScript(folder: string, init: SshdInit): Promise<string | undefined> {
  const { shell, banner, interpreters, env = {} } = init;
  if (shell === undefined && banner === undefined && interpreters === undefined && Object.keys(env).length === 0) {
    return undefined;
  }
  const lines = ["#!/bin/sh"];
  if (interpreters) {
    const bin = join(folder, "bin");
    await Deno.mkdir(bin);
    for (const [name, path] of Object.entries(interpreters)) await Deno.symlink(path, join(bin, name));
    for (const tool of TOOLS) {
      const path = await which(tool);
      if (path && !(tool in interpreters)) await Deno.symlink(path, join(bin, tool));
    }
    lines.push(`export PATH=${quote(bin)}`);
  }
  for (const [name, value] of Object.entries(env)) lines.push(`export ${name}=${quote(value)}`);
  if (banner !== undefined) lines.push(`printf %s ${quote(banner)}`);
  const program = shell === undefined ? Deno.env.get("SHELL") ?? "/bin/sh" : await which(shell) ?? shell;
  lines.push(`exec ${quote(program)} -c "$SSH_ORIGINAL_COMMAND"`, "");
  const path = join(folder, "login");
  await Deno.writeTextFile(path, lines.join("\n"), { mode: 0o755 });
  return path;
}

/**
 * Starts a server.
 *
 * @param init How its logins look.
 * @returns the server, which must be stopped
 * @throws {Error} when there is no sshd here: ask {@linkcode sshdMissing} first
 */
export async function startSshd(init: SshdInit = {}): Promise<Sshd> {
  const missing = await sshdMissing();
  if (missing !== undefined) throw new Error(missing);
  const folder = await Deno.makeTempDir({ prefix: "across-sshd-" });
  const file = (name: string): string => join(folder, name);
  const hostKey = await keygen(file("host_key"));
  const otherKey = await keygen(file("other_key"));
  await Deno.writeTextFile(file("authorized_keys"), `${await keygen(file("identity"))}\n`);
  const login = await loginScript(folder, init);
  if (Deno.uid() === 0) await Deno.mkdir("/run/sshd", { recursive: true }); // sshd refuses to start without

  const start = async (): Promise<[Deno.ChildProcess, number]> => {
    const port = freePort();
    const config = [
      `Port ${port}`,
      "ListenAddress 127.0.0.1",
      `HostKey ${file("host_key")}`,
      `AuthorizedKeysFile ${file("authorized_keys")}`,
      `PidFile ${file("pid")}`,
      "StrictModes no",
      "UsePAM no",
      "PasswordAuthentication no",
      "KbdInteractiveAuthentication no",
      "PermitRootLogin prohibit-password",
      "MaxStartups 200",
      "MaxSessions 200",
      "PrintMotd no",
      "LogLevel VERBOSE",
      ...(login === undefined ? [`SetEnv PATH=${Deno.env.get("PATH")}`] : [`ForceCommand ${login}`]),
      ...(login === undefined || init.interpreters ? [] : [`SetEnv PATH=${Deno.env.get("PATH")}`]),
    ];
    await Deno.writeTextFile(file("sshd_config"), `${config.join("\n")}\n`);
    // In the foreground, so that it is our child and cannot outlive us unseen.
    const child = new Deno.Command(SERVER, {
      args: ["-D", "-f", file("sshd_config"), "-E", file("log")],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    return [child, port];
  };

  const log = (): Promise<string> => Deno.readTextFile(file("log")).catch(() => "");
  let server: Deno.ChildProcess | undefined;
  let port = 0;
  for (let attempt = 0; !server; attempt++) {
    const [child, at] = await start();
    const ended = child.status.then(() => true);
    const listening = await condition(async () => {
      if (await Promise.race([ended, Promise.resolve(false)])) return "ended" as const;
      return (await log()).includes(`listening on 127.0.0.1 port ${at}`) ? "yes" as const : undefined;
    }, "sshd listens");
    if (listening === "yes") [server, port] = [child, at];
    else if (attempt === 3) throw new Error(`Cannot start sshd: ${(await log()).slice(-500)}`);
  }

  const client = async (name: string, { hostKey: known, identity }: ClientInit = {}): Promise<readonly string[]> => {
    const knownHosts = known === "unknown" ? "" : `${HOST} ${known === "wrong" ? otherKey : hostKey}\n`;
    await Deno.writeTextFile(file(`${name}_known_hosts`), knownHosts.replace(/ across-tests$/m, ""));
    const config = [
      `Host ${HOST}`,
      "  HostName 127.0.0.1",
      `  HostKeyAlias ${HOST}`,
      `  Port ${port}`,
      ...(Deno.env.get("USER") || Deno.uid() !== 0 ? [] : ["  User root"]),
      `  IdentityFile ${file(identity === "wrong" ? "other_key" : "identity")}`,
      "  IdentitiesOnly yes",
      "  IdentityAgent none",
      "  StrictHostKeyChecking yes",
      `  UserKnownHostsFile ${file(`${name}_known_hosts`)}`,
      "  GlobalKnownHostsFile /dev/null",
    ];
    await Deno.writeTextFile(file(`${name}_config`), `${config.join("\n")}\n`);
    return ["-F", file(`${name}_config`)];
  };

  const { pid, status } = server;
  const sessions = (): number[] => descendants(pid).filter((it) => it.state !== "Z").map((it) => it.pid);
  const killAll = (pids: readonly number[]): void => {
    for (const it of pids) {
      try {
        Deno.kill(it, "SIGKILL");
      } catch { /* it has ended already */ }
    }
  };
  let stopped: Promise<void> | undefined;
  const stop = (): Promise<void> =>
    stopped ??= (async () => {
      const open = sessions();
      killAll([pid, ...open]);
      await status;
      await condition(() => !open.some(isAlive), "the sessions of sshd have ended");
      await Deno.remove(folder, { recursive: true });
    })();
  return {
    destination: HOST,
    sshArgs: await client("client"),
    port,
    pid,
    sshArgsWith: (init) => client(Object.entries(init).flat().join("_") || "client", init),
    sessions,
    // The server's own processes only: what they had started must notice by itself.
    killSessions: () => killAll(descendants(pid).filter((it) => /^sshd\b/.test(it.command)).map((it) => it.pid)),
    log,
    stop,
    [Symbol.asyncDispose]: stop,
  };
}
