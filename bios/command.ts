/**
 * The command that starts a remote end on this machine. The one for other machines is in `ssh.ts`.
 *
 * @module
 */

import { execPath, runtime as ownRuntime } from "../runtime/host.ts";
import type { Permissions } from "./permissions.ts";
import { permissionFlags } from "./permissions.ts";
import type { BiosInit } from "./script.ts";
import { STAGE_1 } from "./script.ts";
import type { Kind } from "./shell.ts";
import { discovery, interpreterArgs, prologue } from "./shell.ts";

export type { Permissions };

const KINDS: readonly string[] = ["deno", "node", "bun"];

/** Which kind of runtime a program is, by its name. */
function kindOf(path: string): Kind | undefined {
  return /(?:^|[\\/])(deno|node|bun)[^\\/]*$/.exec(path)?.[1] as Kind | undefined;
}

/** What {@linkcode biosCommand} is told. */
export interface BiosCommandInit extends BiosInit {
  /** What the remote end may do; with it, it is Deno. */
  readonly permissions?: Permissions;
  /**
   * Whether the command is to be run somewhere else, as the arguments of `docker exec -i BOX` for example: then the interpreter is looked for there, any
   * of them without `runtime`.
   */
  readonly elsewhere?: boolean;
}

/** What `runtime` and `permissions` ask for. */
export interface Choice {
  /** The kind, where that is certain. */
  readonly kind: Kind | undefined;
  /** The program, where it is not to be looked for. */
  readonly path: string | undefined;
  /** Permission flags, for Deno. */
  readonly flags: readonly string[];
}

/**
 * Understands the options.
 *
 * @param runtime Name or path of a runtime; undefined for any.
 * @param permissions What it may do.
 * @throws {TypeError} when that makes no sense
 */
export function choose(runtime: string | undefined, permissions: Permissions | undefined): Choice {
  if (runtime !== undefined && (typeof runtime !== "string" || !/^[^\0-][^\0]*$/.test(runtime))) {
    throw new TypeError(
      `Cannot start runtime ${JSON.stringify(runtime)}: pass "deno", "node", "bun", or the path of one`,
    );
  }
  const kind = kindOf(runtime ?? "") ?? (permissions && !runtime ? "deno" : undefined);
  if (permissions && kind && kind !== "deno") {
    throw new TypeError(`Cannot start "${runtime}" with permissions: only deno has them`);
  }
  return { kind, path: KINDS.includes(runtime!) ? undefined : runtime, flags: permissionFlags(permissions) };
}

/**
 * A command that starts a remote end in a bare interpreter on this machine. A small shell script comes first, which moves the wire to other
 * descriptors, so that the remote end's stdin is empty and whatever it or its child processes print goes to stderr; the interpreter then takes the
 * shell's place. It stays unmoved in Deno's sandbox, and in a Deno whose stdin and stdout are not pipes.
 *
 * @param init Which runtime, and what it may do. Without `permissions` everything; with them it is Deno, and only what they list (nothing, for `{}`) is
 * allowed.
 * @returns the program and its arguments, as {@linkcode Connection.fromCommand} takes them
 * @throws {TypeError} when there is no such runtime or permission
 *
 * @example
 * ```ts
 * import { biosCommand, Connection } from "@x/across";
 * import { assertEquals } from "@std/assert";
 *
 * await using conn = Connection.fromCommand(biosCommand({ runtime: "deno", permissions: {} }));
 * assertEquals(await conn.call((a: number) => a + 1, 2), 3);
 * ```
 */
export function biosCommand(init: BiosCommandInit = {}): string[] {
  const { runtime, permissions, elsewhere } = init;
  const chosen = choose(runtime, permissions);
  const own = ownRuntime === "other" ? "deno" : ownRuntime;
  const { flags } = chosen;
  if (elsewhere) {
    const { kind, path } = chosen;
    const kinds = permissions ? ["deno"] : kind && !path ? [kind] : KINDS;
    return ["sh", "-c", discovery({ path, kinds: kinds as Kind[], flags }), "sh", STAGE_1];
  }
  const kind = chosen.kind ?? (runtime === undefined ? own : undefined);
  const ownPath = execPath();
  // A program that was compiled into one executable would start itself.
  const usable = kind === own && ownPath !== undefined && kindOf(ownPath) === own;
  const program = chosen.path ?? (usable ? ownPath : kind);
  if (kind === undefined) {
    const search = { path: program, kinds: (permissions ? ["deno"] : KINDS) as Kind[], flags };
    return ["sh", "-c", discovery(search), "sh", STAGE_1];
  }
  const command = [program!, ...interpreterArgs(kind, flags)];
  const shellless = permissions || ownPath?.includes("\\"); // as on Windows
  return shellless ? command : ["sh", "-c", prologue(kind), "sh", ...command];
}
