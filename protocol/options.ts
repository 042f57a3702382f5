/**
 * The options of a connection and how they are checked.
 *
 * @module
 */

import { LIMITS } from "./limits.ts";

/** Options of a {@linkcode Connection}, all optional. */
export interface OptionsInit {
  /**
   * Milliseconds for connecting, the handshake, a write that makes no progress, silence of the peer, and for a child to end in `close()`.
   * Finite values are clamped to [1, 86_400_000], `Infinity` turns it off.
   *
   * @default {60000}
   */
  timeout?: number;
  /** Whether the peer may send modules to be imported here. */
  acceptExportedModules?: boolean;
  /** Whether the peer may run functions, source and imports here. The default is false where we dial, true where we are dialled. */
  acceptCalls?: boolean;
  /** What `root()` gives the peer. Its methods may be called even where `acceptCalls` is false. */
  expose?: object;
  /**
   * Bytes that one message may have, in both directions.
   *
   * @default {1073741824}
   */
  maxMessageSize?: number;
  /** What both sides must prove to know before anything else is read. It authenticates, it does not encrypt. */
  secret?: string | Uint8Array;
}

const LONGEST = 86_400_000;

function wrong(
  name: string,
  value: unknown,
  accepted: string,
  type: typeof TypeError | typeof RangeError = TypeError,
): never {
  const given = typeof value === "number" || typeof value === "boolean"
    ? String(value)
    : value === null
    ? "null"
    : `a ${typeof value}`;
  throw new type(`Cannot use ${given} as option ${name}: it takes ${accepted}`);
}

function boolean(name: string, value: unknown): boolean | undefined {
  return value === undefined || typeof value === "boolean" ? value : wrong(name, value, "true or false");
}

/**
 * Options of a connection, checked.
 *
 * @example
 * ```ts
 * import { Options } from "@x/across";
 *
 * const patient = new Options({ timeout: 300_000 });
 * const trusting = patient.copy({ acceptCalls: true });
 * ```
 */
export class Options implements OptionsInit {
  /** Milliseconds, see {@linkcode OptionsInit.timeout}. */
  readonly timeout: number;
  /** See {@linkcode OptionsInit.acceptExportedModules}. */
  readonly acceptExportedModules: boolean;
  /** See {@linkcode OptionsInit.acceptCalls}; absent means: as the kind of connection has it. */
  readonly acceptCalls?: boolean;
  /** See {@linkcode OptionsInit.expose}. */
  readonly expose?: object;
  /** Bytes, see {@linkcode OptionsInit.maxMessageSize}. */
  readonly maxMessageSize: number;
  /** See {@linkcode OptionsInit.secret}. */
  readonly secret?: string | Uint8Array;

  /**
   * Checks options and fills in the defaults.
   *
   * @param init The options to set.
   * @param foreign Names of further options that `init` may have, which belong to a factory rather than to the connection.
   * @throws {TypeError} If a name is unknown or a value is of the wrong type.
   * @throws {RangeError} If a number is out of its range.
   */
  constructor(init: OptionsInit = {}, foreign: readonly string[] = []) {
    if (typeof init !== "object" || init === null) wrong("bag", init, "an object");
    for (const name of Object.keys(init)) {
      if (!NAMES.includes(name) && !foreign.includes(name)) {
        throw new TypeError(`Cannot use option "${name}": there are ${[...NAMES, ...foreign].join(", ")}`);
      }
    }
    const { timeout = 60_000, maxMessageSize = LIMITS.messageSize, expose, secret } = init;
    if (typeof timeout !== "number") wrong("timeout", timeout, "milliseconds");
    if (Number.isNaN(timeout)) wrong("timeout", timeout, "milliseconds", RangeError);
    if (typeof maxMessageSize !== "number") wrong("maxMessageSize", maxMessageSize, "bytes");
    if (!(Number.isSafeInteger(maxMessageSize) && maxMessageSize >= 1024)) {
      wrong("maxMessageSize", maxMessageSize, "a whole number of bytes from 1024 on", RangeError);
    }
    if (expose !== undefined && (typeof expose !== "object" && typeof expose !== "function" || expose === null)) {
      wrong("expose", expose, "an object");
    }
    if (secret !== undefined && typeof secret !== "string" && !(secret instanceof Uint8Array)) {
      wrong("secret", secret, "a string or bytes");
    }
    if (secret?.length === 0) throw new RangeError("Cannot use an empty secret");
    this.timeout = timeout === Infinity ? timeout : Math.min(Math.max(timeout, 1), LONGEST);
    this.acceptExportedModules = boolean("acceptExportedModules", init.acceptExportedModules) ?? false;
    const calls = boolean("acceptCalls", init.acceptCalls);
    if (calls !== undefined) this.acceptCalls = calls;
    if (expose !== undefined) this.expose = expose;
    this.maxMessageSize = maxMessageSize;
    if (secret !== undefined) this.secret = secret;
  }

  /** The same options but for those in `init`. */
  copy(init: OptionsInit = {}): Options {
    return new Options({ ...this, ...init });
  }
}

const NAMES: readonly string[] = [
  "timeout",
  "acceptExportedModules",
  "acceptCalls",
  "expose",
  "maxMessageSize",
  "secret",
];
