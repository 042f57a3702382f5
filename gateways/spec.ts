/**
 * Specifications of gateways: what kind, where, and with which settings. What becomes of one is in `dial.ts`.
 *
 * @module
 */

import type { Permissions } from "../mod.ts";

/** What a specification can say, as an object. */
export interface XSpecInit {
  /** An interpreter on this machine: what one gets without any type. */
  readonly popen?: true;
  /** Where `ssh` is to log in, as in `"user@host"` or `"-p 5000 user@host"`. */
  readonly ssh?: string;
  /** A configuration file for `ssh`. */
  readonly ssh_config?: string;
  /** Id of a gateway that is to start a server for this one, of type `socket`: then that needs no address. */
  readonly installvia?: string;
  /** `HOST:PORT` of a server, such as `across serve` or one of {@linkcode getSocketServer}. */
  readonly socket?: string | true;
  /** Path of a server's Unix socket. */
  readonly unix?: string;
  /** A thread of this process. */
  readonly worker?: true;
  /** A running container, in which `docker exec` starts an interpreter. */
  readonly docker?: string;
  /** A pod, in which `kubectl exec` starts an interpreter. */
  readonly kubectl?: string;
  /**
   * A shell command that runs its arguments somewhere, such as `"srun -n1"`; or one in which `{}` stands for what is to be run.
   */
  readonly command?: string;
  /** Id of the gateway that starts this one and through which it is spoken to. */
  readonly via?: string;
  /** The name in the group; made up without it. */
  readonly id?: string;
  /** `deno`, `node`, `bun`, or the path of one. */
  readonly runtime?: string;
  /** The working directory, which is made if there is none. */
  readonly chdir?: string;
  /** How much less important than this process it is to be, as the command `nice` takes it. */
  readonly nice?: number | string;
  /** Environment variables. */
  readonly env?: Readonly<Record<string, string>>;
  /** Deno's sandbox: what it may do. In a string, as in `permissions=read=/srv,/tmp;net`, and nothing for a key without value. */
  readonly permissions?: Permissions | string | true;
  /** What a server wants us to know. It is not printed. */
  readonly secret?: string | Uint8Array;
  /** One environment variable, as strings have them. */
  readonly [variable: `env:${string}`]: string;
}

const TYPES: readonly GatewayType[] = ["popen", "ssh", "socket", "unix", "worker", "docker", "kubectl", "command"];
const FLAGS = ["popen", "worker"];
const SETTINGS = ["via", "id", "runtime", "chdir", "nice", "env", "permissions", "secret", "ssh_config", "installvia"];
const KEYS: readonly string[] = [...TYPES, ...SETTINGS];
/** What a type starts no interpreter for, or cannot change in a process that it shares. */
const REFUSED: Readonly<Record<string, readonly string[]>> = {
  socket: ["runtime", "permissions"],
  unix: ["runtime", "permissions"],
  worker: ["runtime", "permissions", "chdir", "nice", "env"],
};
/** Keys of execnet that have another name, or none. */
const FOREIGN: Readonly<Record<string, string>> = {
  python: "use runtime=, which takes deno, node, bun, or the path of one",
  execmodel: "everything is asynchronous; use reconfigure({ maxConcurrency }) to limit what runs at a time",
  dont_write_bytecode: "nothing is written over there",
};

/** The type of a gateway. */
export type GatewayType = "popen" | "ssh" | "socket" | "unix" | "worker" | "docker" | "kubectl" | "command";

const refuse = (key: string, why: string): never => {
  throw new TypeError(`Cannot use key "${key}" in a specification: ${why}`);
};

/** Takes a string apart. */
function parse(text: string): Record<string, unknown> {
  const found: Record<string, unknown> = {};
  const env: Record<string, string> = {};
  for (const part of text.split("//")) {
    if (!part) {
      if (text === "") continue;
      throw new TypeError(`Cannot use "${text}" as a specification: a key is missing between "//"`);
    }
    const at = part.indexOf("=");
    const key = at < 0 ? part : part.slice(0, at);
    const value = at < 0 ? true : part.slice(at + 1);
    if (key.startsWith("env:")) {
      const name = key.slice(4);
      if (Object.hasOwn(env, name)) refuse(key, "it is there twice");
      env[name] = typeof value === "string" ? value : "";
    } else {
      if (Object.hasOwn(found, key)) refuse(key, "it is there twice");
      if (key === "env") refuse(key, "write env:NAME=value");
      found[key] = value;
    }
  }
  return Object.keys(env).length > 0 ? { ...found, env } : found;
}

/** Reads permissions from a string. */
function permissionsOf(value: unknown): Permissions {
  if (value === true || value === "") return {};
  if (typeof value === "object" && value !== null) return value as Permissions;
  if (typeof value !== "string") {
    return refuse("permissions", `it takes kinds such as read=/srv;net, not a ${typeof value}`);
  }
  return Object.fromEntries(
    value.split(";").map((part) => {
      const [, kind = "", list] = /^(\w+)(?:=(.*))?$/.exec(part) ?? [];
      if (!["read", "write", "net", "env", "run", "sys", "ffi"].includes(kind)) {
        refuse("permissions", `there are read, write, net, env, run, sys and ffi, but not "${part}"`);
      }
      return [kind, list === undefined ? true : list.split(",")];
    }),
  );
}

/** Writes them into one. */
function permissionsText(permissions: Permissions): string {
  return Object.entries(permissions).map(([kind, list]) => list === true ? kind : `${kind}=${list.join()}`).join(";");
}

/**
 * A specification of a gateway: parsed, checked, and printable.
 *
 * @example
 * ```ts
 * import { XSpec } from "@x/across/gateways";
 * import { assertEquals } from "@std/assert";
 *
 * const spec = new XSpec("ssh=-p 5000 me@wonderland//id=alice//nice=10//env:LANG=C");
 * assertEquals([spec.type, spec.ssh, spec.nice, spec.env], ["ssh", "-p 5000 me@wonderland", 10, { LANG: "C" }]);
 * assertEquals(String(spec), "ssh=-p 5000 me@wonderland//id=alice//nice=10//env:LANG=C");
 * ```
 */
export class XSpec {
  /** What kind of gateway it is. */
  readonly type: GatewayType;
  /** See {@linkcode XSpecInit.ssh}. */
  readonly ssh: string | undefined;
  /** See {@linkcode XSpecInit.ssh_config}. */
  readonly ssh_config: string | undefined;
  /** See {@linkcode XSpecInit.socket}. */
  readonly socket: string | undefined;
  /** See {@linkcode XSpecInit.installvia}. */
  readonly installvia: string | undefined;
  /** See {@linkcode XSpecInit.unix}. */
  readonly unix: string | undefined;
  /** See {@linkcode XSpecInit.docker}. */
  readonly docker: string | undefined;
  /** See {@linkcode XSpecInit.kubectl}. */
  readonly kubectl: string | undefined;
  /** See {@linkcode XSpecInit.command}. */
  readonly command: string | undefined;
  /** See {@linkcode XSpecInit.via}. */
  readonly via: string | undefined;
  /** See {@linkcode XSpecInit.id}. */
  readonly id: string | undefined;
  /** See {@linkcode XSpecInit.runtime}. */
  readonly runtime: string | undefined;
  /** See {@linkcode XSpecInit.chdir}. */
  readonly chdir: string | undefined;
  /** See {@linkcode XSpecInit.nice}. */
  readonly nice: number | undefined;
  /** See {@linkcode XSpecInit.env}. */
  readonly env: Readonly<Record<string, string>>;
  /** See {@linkcode XSpecInit.permissions}. */
  readonly permissions: Permissions | undefined;
  /** See {@linkcode XSpecInit.secret}. */
  readonly secret: string | Uint8Array | undefined;

  /**
   * Parses and checks a specification.
   *
   * @param spec A string of `key=value` with `//` between them, or an object of the same keys.
   * @throws {TypeError} If a key or its value makes no sense; the message names the key.
   */
  constructor(spec: string | XSpecInit | XSpec = "popen") {
    const given = typeof spec === "string" ? parse(spec) : { ...spec } as Record<string, unknown>;
    if (spec instanceof XSpec) {
      given[spec.type] ??= true;
      delete given["type"];
    }
    const env: Record<string, string> = { ...given["env"] as Record<string, string> | undefined };
    for (const [key, value] of Object.entries(given)) {
      if (key.startsWith("env:")) {
        if (Object.hasOwn(env, key.slice(4))) refuse(key, "it is there twice");
        env[key.slice(4)] = value as string;
        delete given[key];
      } else if (Object.hasOwn(FOREIGN, key)) refuse(key, FOREIGN[key]!);
      else if (!KEYS.includes(key)) refuse(key, `there are ${KEYS.join(", ")}, env:NAME`);
      else if (value === undefined) delete given[key];
      else if (key === "socket" && value === true && given["installvia"] !== undefined) continue;
      else if (FLAGS.includes(key) && value !== true) refuse(key, "it takes no value");
      else if (
        !FLAGS.includes(key) && (value === true && key !== "permissions" || value === "" && key !== "permissions")
      ) {
        refuse(key, "it needs a value");
      }
    }
    for (const [name, value] of Object.entries(env)) {
      if (!/^[A-Za-z_]\w*$/.test(name)) refuse(`env:${name}`, "names have letters, digits and _ only");
      if (typeof value !== "string" || value.includes("\0")) refuse(`env:${name}`, "it takes a string without NUL");
    }
    const types = TYPES.filter((type) => given[type] !== undefined);
    if (types.length > 1) refuse(types[1]!, `"${types[0]}" is there as well, and a gateway is of one type`);
    const type = this.type = types[0] ?? "popen";
    for (const key of REFUSED[type] ?? []) {
      if (key === "env" ? Object.keys(env).length > 0 : given[key] !== undefined) {
        refuse(
          key,
          type === "worker" ? "a worker shares its process" : `a gateway of type "${type}" is started by its server`,
        );
      }
    }
    if (given["ssh_config"] !== undefined && type !== "ssh") refuse("ssh_config", "it goes with ssh= only");
    if (given["secret"] !== undefined && type !== "socket" && type !== "unix") {
      refuse("secret", "it goes with socket= and unix= only");
    }
    if ((given["installvia"] !== undefined) !== (given["socket"] === true)) {
      refuse("installvia", "it goes with socket, which has no value then");
    }
    if (given["installvia"] !== undefined && given["secret"] !== undefined) refuse("secret", "installvia chooses it");
    const text = (key: string): string | undefined => {
      const value = given[key];
      if (key === "socket" && value === true) return;
      if (value === undefined || typeof value === "string" && !value.includes("\0")) return value;
      return refuse(key, `it takes a string, not ${typeof value === "string" ? "one with NUL" : `a ${typeof value}`}`);
    };
    this.ssh = text("ssh");
    this.ssh_config = text("ssh_config");
    this.socket = text("socket");
    this.installvia = text("installvia");
    if (this.socket !== undefined && !/^(?:[^:[\]]+|\[[^\]]+\]):\d{1,5}$/.test(this.socket)) {
      refuse("socket", `it takes HOST:PORT, not "${this.socket}"`);
    }
    this.unix = text("unix");
    this.docker = text("docker");
    this.kubectl = text("kubectl");
    for (const key of ["docker", "kubectl"] as const) {
      if (this[key]?.startsWith("-")) refuse(key, "it takes a name; for options, write the whole as command=");
    }
    this.command = text("command");
    this.via = text("via");
    this.id = text("id");
    this.runtime = text("runtime");
    this.chdir = text("chdir");
    const nice = given["nice"];
    this.nice = nice === undefined ? undefined : Number(nice);
    if (this.nice !== undefined && !(Number.isInteger(this.nice) && Math.abs(this.nice) <= 20)) {
      refuse("nice", `it takes a whole number from -20 to 19, not "${String(nice)}"`);
    }
    this.env = env;
    this.permissions = given["permissions"] === undefined ? undefined : permissionsOf(given["permissions"]);
    const secret = given["secret"];
    if (secret !== undefined && typeof secret !== "string" && !(secret instanceof Uint8Array)) {
      refuse("secret", "it takes a string or bytes");
    }
    this.secret = secret as string | Uint8Array | undefined;
  }

  /** The same as an object, from which an equal one can be made. */
  toObject(): XSpecInit {
    const found: Record<string, unknown> = FLAGS.includes(this.type) || this.installvia !== undefined
      ? { [this.type]: true }
      : {};
    for (const [key, value] of Object.entries(this)) {
      if (key === "type" || value === undefined) continue;
      if (key === "env" && Object.keys(this.env).length === 0) continue;
      found[key] = value;
    }
    return found as XSpecInit;
  }

  /** The same with some keys changed. */
  with(changes: XSpecInit): XSpec {
    return new XSpec({ ...this.toObject(), ...changes });
  }

  /** The string that it can be parsed from, unless a value has `//` in it. Without the secret. */
  toString(): string {
    const parts: string[] = [];
    for (const [key, value] of Object.entries(this.toObject())) {
      if (key === "secret" || key === "env") continue;
      if (key === "permissions") {
        const text = permissionsText(value as Permissions);
        parts.push(text ? `permissions=${text}` : "permissions");
      } else parts.push(value === true ? key : `${key}=${value}`);
    }
    for (const [name, value] of Object.entries(this.env)) parts.push(`env:${name}=${value}`);
    return parts.join("//");
  }
}
