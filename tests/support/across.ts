/**
 * The `across` command as a process of its own.
 *
 * @module
 */

import { assert } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { getBios } from "../../mod.ts";

/** The file that is run. */
export const CLI: string = fromFileUrl(new URL("../../cli.ts", import.meta.url));

/** How it ended. */
export interface Result {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs it to its end. */
export function across(...args: string[]): Promise<Result> {
  return acrossWith({}, ...args);
}

/** Runs it with more in the environment. */
export async function acrossWith(env: Record<string, string>, ...args: string[]): Promise<Result> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", CLI, ...args],
    stdin: "null",
    env: { NO_COLOR: "1", ...env },
  }).output();
  return { code, out: new TextDecoder().decode(stdout), err: new TextDecoder().decode(stderr) };
}

/** One that runs. */
export interface Running extends AsyncDisposable {
  readonly child: Deno.ChildProcess;
  /** Waits until stderr matches. */
  until(pattern: RegExp): Promise<RegExpExecArray>;
  /** Waits for its end. */
  ended(): Promise<Result>;
}

/** Starts it. Disposing of it kills it. */
export function startAcross(...args: string[]): Running {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", CLI, ...args],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    env: { NO_COLOR: "1" },
  }).spawn();
  let err = "";
  const listeners = new Set<() => void>();
  const reading = (async () => {
    for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) {
      err += text;
      for (const listener of listeners) listener();
    }
  })();
  const out = new Response(child.stdout).text();
  const ended = async (): Promise<Result> => {
    const [{ code }] = await Promise.all([child.status, reading, out]);
    return { code, out: await out, err };
  };
  return {
    child,
    ended,
    until: (pattern) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          const match = pattern.exec(err);
          if (!match) return;
          listeners.delete(look);
          resolve(match);
        };
        listeners.add(look);
        look();
        reading.then(() => reject(new Error(`It ended without having said ${pattern}: ${err}`)));
      }),
    async [Symbol.asyncDispose]() {
      try {
        child.kill("SIGKILL");
      } catch { /* it has ended */ }
      await ended();
    },
  };
}

/** Quotes for a POSIX shell. */
export const shell = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

/** A shell command that starts a bare Deno with the BIOS. */
export const bare: string = `${shell(Deno.execPath())} eval --no-config ${shell(getBios())}`;

/** Fails with what the command printed when its exit code is another one. */
export function assertCode(result: Result, code: number): void {
  assert(result.code === code, `exited with ${result.code}, not ${code}: ${result.err}${result.out}`);
}
