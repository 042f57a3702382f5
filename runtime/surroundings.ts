/**
 * The surroundings of this process: working directory, priority, environment; and what can be told of it. What every runtime has under another name is
 * in `host.ts`.
 *
 * @module
 */

import { builtin, deno, hostName, nodeProcess, pid, runtime, runtimeVersion } from "./host.ts";

/** What is to be changed. */
export interface Surroundings {
  /** The working directory, which is made if there is none. */
  readonly chdir?: string;
  /** How much less important it is to be, as the command `nice` takes it. */
  readonly nice?: number;
  /** Environment variables to set. */
  readonly env?: Readonly<Record<string, string>>;
}

/** What is used of Node's `process` beyond `host.ts`. */
interface Changeable {
  cwd(): string;
  chdir(path: string): void;
  readonly platform: string;
  readonly arch: string;
}

/** Changes the surroundings of this process. */
export async function enter({ chdir, nice, env = {} }: Surroundings): Promise<void> {
  const names = Object.entries(env);
  if (deno) { for (const [name, value] of names) deno.env.set(name, value); }
  else Object.assign(nodeProcess!.env, env);
  if (nice !== undefined) {
    const os = await builtin<{ getPriority(): number; setPriority(nice: number): void }>("node:os");
    os.setPriority(Math.max(-20, Math.min(19, os.getPriority() + nice)));
  }
  if (chdir === undefined) return;
  if (deno) await deno.mkdir(chdir, { recursive: true });
  else {
    type Files = { mkdir(path: string, init: { recursive: boolean }): Promise<unknown> };
    await (await builtin<Files>("node:fs/promises")).mkdir(chdir, { recursive: true });
  }
  if (deno) deno.chdir(chdir);
  else (nodeProcess as unknown as Changeable).chdir(chdir);
}

/** What can be told of this process. */
export interface ProcessFacts {
  /** `"deno"`, `"node"`, `"bun"` or `"other"`. */
  readonly runtime: string;
  /** The version of the runtime. */
  readonly version: string;
  /** The operating system, such as `"linux"`. */
  readonly platform: string;
  /** The processor, such as `"x64"`. */
  readonly arch: string;
  /** The process. */
  readonly pid: number | undefined;
  /** The working directory; absent where it must not be known. */
  readonly cwd?: string;
  /** The name of the machine; absent where it must not be known. */
  readonly host?: string;
}

/** Tells of this process what may be known. */
export function processFacts(): ProcessFacts {
  const host = hostName();
  const other = nodeProcess as unknown as Changeable | undefined;
  let cwd: string | undefined;
  try {
    cwd = deno ? deno.cwd() : other?.cwd();
  } catch {
    // Deno's sandbox, or a directory that is gone.
  }
  const arch = deno ? { x86_64: "x64", aarch64: "arm64" }[deno.build.arch as string] ?? deno.build.arch : other?.arch;
  return {
    runtime,
    version: runtimeVersion,
    platform: deno ? deno.build.os : other?.platform ?? "",
    arch: arch ?? "",
    pid: pid(),
    ...(cwd === undefined ? {} : { cwd }),
    ...(host === undefined ? {} : { host }),
  };
}
