/**
 * Remote ends for the end-to-end tests: the ways to start one, what it printed, and how it is ended by force.
 *
 * @module
 */

import { biosCommand, Connection, getBios } from "../../mod.ts";
import type { CommandInit, OptionsInit } from "../../mod.ts";
import { condition, leakCheck } from "./leaks.ts";
import type { Runtime } from "./runtimes.ts";
import { evalArgs } from "./runtimes.ts";

/** How an interpreter is started. */
export interface Way {
  /** For messages. */
  readonly name: "bare" | "behind biosCommand()";
  /** Program and arguments. */
  readonly args: readonly string[];
}

/** The script alone, and behind the prologue. */
export function ways(runtime: Runtime): readonly Way[] {
  return [
    { name: "bare", args: evalArgs(runtime, getBios()) },
    { name: "behind biosCommand()", args: biosCommand({ runtime: runtime.path }) },
  ];
}

/** What a remote end wrote to its stderr. */
export interface Printed {
  /** For the option `stderr`. */
  readonly stderr: WritableStream<Uint8Array>;
  /** All of it so far. */
  text(): string;
  /** How many bytes that are. */
  size(): number;
  /** Waits until it has a text, and gives all so far. */
  until(text: string): Promise<string>;
}

/** Collects what a remote end prints. */
export function printed(): Printed {
  const decoder = new TextDecoder();
  let text = "", size = 0;
  return {
    stderr: new WritableStream({
      write(chunk): void {
        size += chunk.length;
        text += decoder.decode(chunk, { stream: true });
      },
    }),
    text: () => text,
    size: () => size,
    async until(wanted): Promise<string> {
      await condition(() => text.includes(wanted), `"${wanted}" is printed`).catch((error) => {
        throw new Error(`${error.message}; there was: ${text.slice(-2000)}`);
      });
      return text;
    },
  };
}

/** Options of a connection to a command. */
export type RemoteInit = OptionsInit & CommandInit;

/**
 * Runs a test on a remote end, closes it and checks that nothing is left of it. What the test throws comes first.
 *
 * @param args Program and arguments.
 * @param body The test.
 * @param init Options.
 */
export async function onRemote(
  args: readonly string[],
  body: (conn: Connection) => Promise<void>,
  init: RemoteInit = {},
): Promise<void> {
  const check = await leakCheck();
  const conn = Connection.fromCommand(args, init);
  try {
    await body(conn);
  } catch (error) {
    conn.cancel();
    await conn.close().catch(() => {});
    throw error;
  }
  await conn.close();
  await check.finish();
}

/**
 * Makes the first call of a connection, and waits until the remote end has said that a thread beside its own speaks for it: until then it might be busy,
 * and one message more is to come than those that are asked for.
 */
export async function untilSeconded(conn: Connection): Promise<void> {
  await conn.ready();
  const { messagesReceived } = conn.status();
  await conn.call(() => 1);
  await condition(() => conn.status().messagesReceived > messagesReceived + 1, "its other thread is there");
}

/** The process of the remote end. */
export async function remotePid(conn: Connection): Promise<number> {
  return await conn.execute<number>("globalThis.Deno?.pid ?? process.pid");
}

/** Whether a version is at least another one. */
export function atLeast({ version }: Pick<Runtime, "version">, wanted: string): boolean {
  const [a, b] = [version, wanted].map((it) => it.split(".").map(Number));
  for (let i = 0; i < b!.length; i++) if (a![i] !== b![i]) return a![i]! > b![i]!;
  return true;
}
