/**
 * What a remote end in Deno's sandbox may do, and the flags that say so. How it is started is in `command.ts` and `ssh.ts`.
 *
 * @module
 */

/**
 * Permissions of a remote end that runs in Deno: `true` for all of a kind, or a list of what exactly. What is absent is denied; values, calls,
 * proxies and modules need none.
 */
export interface Permissions {
  /** Files and folders that it may read. */
  readonly read?: true | readonly string[];
  /** Files and folders that it may write. */
  readonly write?: true | readonly string[];
  /** Hosts, `host` or `host:port`, that it may connect to or listen on. */
  readonly net?: true | readonly string[];
  /** Environment variables that it may see and change. */
  readonly env?: true | readonly string[];
  /** Programs that it may run. They run outside of the sandbox. */
  readonly run?: true | readonly string[];
  /** What it may learn about the system, such as `hostname`. */
  readonly sys?: true | readonly string[];
  /** Native libraries that it may load. They run outside of the sandbox. */
  readonly ffi?: true | readonly string[];
}

const KINDS = ["read", "write", "net", "env", "run", "sys", "ffi"];

/**
 * The flags of `deno run` for these permissions, or for all where there are none.
 *
 * @param permissions What is granted.
 * @returns the flags
 * @throws {TypeError} when there is no such permission, or Deno could take it for another one
 */
export function permissionFlags(permissions: Permissions | undefined): string[] {
  if (permissions === undefined) return ["-A"];
  const flags = ["--no-prompt"];
  for (const [kind, granted] of Object.entries(permissions) as [string, unknown][]) {
    const flag = `--allow-${kind}`;
    if (!KINDS.includes(kind)) {
      throw new TypeError(`Cannot grant permission ${JSON.stringify(kind)}: there are ${KINDS.join(", ")}`);
    }
    if (granted === undefined) continue;
    if (granted === true) flags.push(flag);
    else if (!Array.isArray(granted)) {
      throw new TypeError(`Cannot grant permission "${kind}": pass true or a list, not ${JSON.stringify(granted)}`);
    } else {
      for (const item of granted) {
        // Deno takes a comma for the end of one, and an empty list for everything.
        if (typeof item !== "string" || !item || /[,\0]/.test(item)) {
          throw new TypeError(
            `Cannot grant permission "${kind}" for ${
              JSON.stringify(item)
            }: pass strings that have no comma and are not empty`,
          );
        }
      }
      if (granted.length) flags.push(`${flag}=${granted.join()}`);
    }
  }
  return flags;
}
