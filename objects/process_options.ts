/**
 * How processes are started: the options of `spawn.with()` and `pool()`, and their checks.
 *
 * @module
 */

import type { Permissions } from "../mod.ts";

/** What both processes of {@linkcode spawn} and members of a {@linkcode pool} are told. */
export interface MemberOptions {
  /** Modules that are exported to it first, as `Connection.export()` takes them: `[import.meta]`. */
  readonly modules?: readonly (string | URL | ImportMeta)[];
  /** What it may do; it is Deno, in its sandbox, then. Everything by default. */
  readonly permissions?: Permissions;
  /** `deno`, `node`, `bun`, or the path of one; what this program runs in by default. */
  readonly runtime?: string;
  /** Environment variables beside ours. */
  readonly env?: Record<string, string>;
  /** Its working directory; ours by default. */
  readonly cwd?: string | URL;
  /**
   * Whether it is a worker of this process instead of a process of its own. A worker has no options of its own but `modules`, shares our directory,
   * environment and rights, and cannot be stopped while it spins under Deno. False by default.
   */
  readonly worker?: boolean;
}

/** How a process is started. */
export interface ProcessOptions extends MemberOptions {
  /** What it is called; by default the function's name and a number. */
  readonly name?: string;
  /** Kills it when it is aborted; what waits for it gets the signal's reason. */
  readonly signal?: AbortSignal;
  /** Whether it does not keep the program alive. It dies with the program either way. True by default. */
  readonly daemon?: boolean;
}

/** The names of {@linkcode MemberOptions}. */
export const MEMBER_OPTIONS: readonly string[] = ["modules", "permissions", "runtime", "env", "cwd", "worker"];
const FOR_PROCESSES = ["permissions", "runtime", "env", "cwd"];

/**
 * Checks options.
 *
 * @param options What was given.
 * @param names All that there are.
 * @throws {TypeError} If one is unknown, or makes no sense for a worker.
 */
export function checkOptions(options: object, names: readonly string[]): void {
  if (typeof options !== "object" || options === null) throw new TypeError("Cannot use these options: pass an object");
  for (const name of Object.keys(options)) {
    if (!names.includes(name)) throw new TypeError(`Cannot use option "${name}": there are ${names.join(", ")}`);
  }
  const { worker, modules, ...rest } = options as MemberOptions & Record<string, unknown>;
  const odd = worker && FOR_PROCESSES.find((name) => rest[name] !== undefined);
  if (odd) throw new TypeError(`Cannot use option "${odd}" for a worker: it has what this process has`);
  if (modules !== undefined && !Array.isArray(modules)) {
    throw new TypeError("Cannot use this as option modules: pass a list, as in [import.meta]");
  }
}
