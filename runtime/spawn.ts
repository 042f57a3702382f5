/**
 * Starts programs, by the means of each runtime, with pipes to them. What a wire makes of a child is in `transports/child.ts`.
 *
 * @module
 */

import { builtin, deno, nodeProcess } from "./host.ts";

/** What is used of a `Deno.ChildProcess`. Its stdin and stdout must be piped. */
export interface DenoChildLike {
  /** The process. */
  readonly pid: number;
  /** What goes to it. */
  readonly stdin: WritableStream<Uint8Array>;
  /** What comes from it. */
  readonly stdout: ReadableStream<Uint8Array>;
  /** How it ended. */
  readonly status: Promise<{ readonly code: number; readonly signal: string | null }>;
  /** Sends it a signal. */
  kill(signal?: "SIGTERM" | "SIGKILL"): void;
}

/** What is used of a child of `node:child_process`. Its stdin and stdout must be piped. */
export interface NodeChildLike {
  /** The process; absent when it could not be started. */
  readonly pid?: number | undefined;
  /** What goes to it. */
  readonly stdin: unknown;
  /** What comes from it. */
  readonly stdout: unknown;
  /** How it ended; null while it runs and when a signal ended it. */
  readonly exitCode: number | null;
  /** Sends it a signal. */
  kill(signal?: "SIGTERM" | "SIGKILL"): boolean;
}

/** A child process, of Deno's or Node's making. */
export type ChildLike = DenoChildLike | NodeChildLike;

/** How a program is started. */
export interface SpawnInit {
  /** Its working directory; ours when absent. */
  readonly cwd?: string | URL;
  /** Environment variables that it gets beside ours. */
  readonly env?: Record<string, string>;
  /** Whether it gets none of ours. */
  readonly clearEnv?: boolean;
}

type Spawn = (
  command: string,
  args: readonly string[],
  options: { cwd?: string | URL; env: Record<string, string | undefined>; stdio: readonly string[] },
) => NodeChildLike;

/**
 * Starts a program with piped stdin and stdout.
 *
 * @param args The program and its arguments.
 * @param init Where and with what environment.
 * @param stderr Whether its stderr is a pipe as well, or ours.
 * @returns the child, also when Node will say only later that it could not be started
 * @throws {Error} when it cannot be started
 */
export function spawn(
  [command = "", ...args]: readonly string[],
  { cwd, env, clearEnv }: SpawnInit,
  stderr: "piped" | "inherit",
): ChildLike | Promise<ChildLike> {
  const where = cwd === undefined ? {} : { cwd };
  if (deno) {
    const options = { args, ...where, env: { ...env }, clearEnv: !!clearEnv, stdin: "piped", stdout: "piped" } as const;
    return new deno.Command(command, { ...options, stderr }).spawn();
  }
  const start = ({ spawn }: { spawn: Spawn }) =>
    spawn(command, args, {
      ...where,
      env: { ...(clearEnv ? {} : nodeProcess!.env), ...env },
      stdio: ["pipe", "pipe", stderr === "piped" ? "pipe" : stderr],
    });
  const module = builtin<{ spawn: Spawn }>("node:child_process");
  return module instanceof Promise ? module.then(start) : start(module);
}

/**
 * Kills a child of Node's making that refuses to be killed, under Deno: there it does so when an earlier signal was ignored. Does nothing elsewhere,
 * where it means that the child has ended, and its number may be another's already.
 */
export function killProcess(pid: number): void {
  deno?.kill(pid, "SIGKILL");
}
