/**
 * What only an end needs that dials or exports: transports to start, sources to send. An end that was booted starts without it, so that booting stays
 * small; it arrives there with the first module that imports across.
 *
 * @module
 */

import type { ModuleGraph } from "../modules/graph.ts";
import type { Options, OptionsInit } from "../protocol/options.ts";
import type { ChildLike } from "../runtime/spawn.ts";
import type { Wire } from "../transports/wire.ts";
import type { SshInit } from "../bios/ssh.ts";
import type { CommandInit } from "../transports/command.ts";
import type { Transport } from "../transports/web_streams.ts";

/** See `dial.ts`, which provides it. */
export interface Dialling {
  /** Checks options, of which `foreign` belong to the factory. */
  options(init: OptionsInit, foreign?: readonly string[]): Options;
  /** For `Connection.fromPipes()`. */
  pipes(readable: ReadableStream<Uint8Array>, writable: WritableStream<Uint8Array>): Wire;
  /** For `Connection.fromStdio()`. */
  stdio(): Wire;
  /** For `Connection.fromCommand()`. */
  command(args: readonly string[], init: CommandInit): Wire;
  /** For `Connection.fromProcess()`. */
  process(child: ChildLike): Wire;
  /** For `Connection.fromSsh()`. */
  ssh(destination: string, init: SshInit): Wire;
  /** For `Connection.fromTransport()`. */
  transport(transport: Transport): Wire;
  /** Reads what is exported. */
  graph(): ModuleGraph;
  /** Makes this across the one that modules of a peer import. */
  provideSelf(): Promise<void>;
  /** A source in whose place its dynamic imports are served by whoever executes it. */
  portable(source: string): string;
  /** The packed kernel, for a peer that has nothing but a BIOS. */
  kernelSource(): Uint8Array | Promise<Uint8Array>;
  /** The source of one of across's other entry points. */
  entrySource(name: string): string | Promise<string>;
}

let provided: Dialling | undefined;

/** Makes it available. */
export function provideDialling(dialling: Dialling): void {
  provided = dialling;
}

/**
 * What was provided.
 *
 * @throws {Error} If nothing was, as across was not imported here.
 */
export function dialling(): Dialling {
  if (!provided) throw new Error("Cannot dial or export here before across is imported");
  return provided;
}
