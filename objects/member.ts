/**
 * Processes and workers that are started to run something for this program, the connections to them, and how they end.
 *
 * @module
 */

import { biosCommand, Connection, workerUrl } from "../mod.ts";
import type { ChildLike, SpawnInit } from "../mod.ts";
import { startWorker } from "../runtime/start_worker.ts";
import { wires } from "../wires.ts";
import type { MemberOptions } from "./process_options.ts";

/** How a process ended. */
export interface Exit {
  /** Its status; null where a signal ended it. */
  readonly code: number | null;
  /** The signal, if one did. */
  readonly signal: string | null;
}

/** A process that was started. */
interface OwnProcess {
  readonly child: ChildLike;
  /** Absent where it could not be started, which its wire tells. */
  readonly pid: number | undefined;
  /** How it ended, when it has. Never rejects. */
  readonly exit: Promise<Exit>;
}

interface Emitter {
  readonly signalCode?: string | null;
  on(event: string, listener: (first: never, second: never) => void): unknown;
}

/**
 * Starts a process whose stdin and stdout are pipes, and whose stderr is ours.
 *
 * @throws {Error} When it cannot be started, where that is known at once.
 */
function startProcess(args: readonly string[], init: SpawnInit): OwnProcess {
  const child = wires().spawn(args, init, "inherit");
  if (child instanceof Promise) throw new Error("Cannot start processes in this runtime");
  const exit = "status" in child
    ? child.status.then(({ code, signal }) => ({ code: signal ? null : code, signal }))
    : new Promise<Exit>((resolve) => {
      const emitter = child as unknown as Emitter;
      emitter.on("exit", (code: number | null, signal: string | null) => resolve({ code, signal }));
      emitter.on("error", () => child.pid === undefined && resolve({ code: null, signal: null }));
    });
  return { child, pid: child.pid, exit };
}

/** A process or worker, and the connection to it. */
export interface Member {
  readonly connection: Connection;
  /** Absent for workers. */
  readonly pid: number | undefined;
  /** How it ended, when it has, which is not known of workers. Never rejects. */
  readonly exit: Promise<Exit> | undefined;
  /** Sends it a signal; a worker is ended by both. */
  kill(signal: "SIGTERM" | "SIGKILL"): void;
}

/**
 * Starts a process or worker, and connects to it.
 *
 * @param options What it is like.
 * @param memory What a worker is to share with us: it finds that as `globalThis[Symbol.for("across.memory")]`.
 * @throws {Error} If it cannot be started, where that is known at once.
 */
export function startMember(options: MemberOptions, memory?: SharedArrayBuffer): Member {
  const { worker, permissions, runtime, env, cwd } = options;
  if (worker) {
    // One that is busy says nothing, and lives as long as we do.
    const port = startWorker(workerUrl());
    if (memory) port.postMessage(memory);
    const connection = Connection.fromPort(port, { acceptCalls: false, timeout: Infinity });
    return { connection, pid: undefined, exit: undefined, kill: () => connection.cancel() };
  }
  const command = biosCommand({
    ...(runtime === undefined ? {} : { runtime }),
    ...(permissions === undefined ? {} : { permissions }),
  });
  const { child, pid, exit } = startProcess(command, {
    ...(env === undefined ? {} : { env }),
    ...(cwd === undefined ? {} : { cwd }),
  });
  const connection = Connection.fromProcess(child);
  return {
    connection,
    pid,
    exit,
    kill(signal) {
      // It knows how to kill what ignored a signal before, which Deno's version of Node's functions refuses.
      if (signal === "SIGKILL") return connection.cancel();
      try {
        child.kill(signal);
      } catch {
        // It has ended already.
      }
    },
  };
}
