/**
 * What an end does without that was just booted, so that booting stays small: it serves plain calls with the kernel alone, and gets the rest of what
 * sessions need, the extension, unasked soon afterwards, or together with the first message that takes it (`extending.ts`). An end that was not booted
 * has all of it from the start.
 *
 * Parts of the kernel reach it through {@linkcode extension} only, and import nothing but types from it. What it consists of is in `extended.ts`.
 *
 * @module
 */

import type { WatchdogInit } from "../runtime/watchdog.ts";
import type { Actions } from "./actions.ts";
import type { Caller, CallerContext } from "./caller.ts";
import type { Defining, DefiningContext } from "./defining.ts";
import type { Exchange, ExchangeContext } from "./exchange.ts";
import type { ScriptImporter } from "./execute.ts";
import type { Heartbeat, HeartbeatInit } from "./heartbeat.ts";
import type { Records, RecordsContext } from "./records.ts";
import type { Sides } from "./references.ts";
import type { SideContext } from "./signals.ts";
import type { StreamContext, StreamPort } from "./streams.ts";

/** What the extension brings. */
export interface Extension {
  /** Asking the peer for operations, through proxies for example. The kernel only answers. */
  caller(context: CallerContext): Caller;
  /** Modules that are exported and imported over a connection. */
  exchange(context: ExchangeContext): Exchange;
  /** Signals and blobs. */
  sides(context: SideContext): Sides;
  /** Streams and iterations. */
  streams(context: StreamContext): StreamPort;
  /** What the rarer actions of a peer do, see `actions.ts`. */
  readonly actions: Actions;
  /** Log records. */
  records(context: RecordsContext): Records;
  /** Source that the peer sends to be executed: what runs it, and gives its value or a promise of it. */
  script(source: string, variables: Record<string, unknown>, importer: ScriptImporter): () => unknown;
  /** Numbers for functions and classes of ours. */
  defining(context: DefiningContext): Defining;
  /** Watches over a connection. */
  heartbeat(init: HeartbeatInit): Heartbeat;
  /** Watches over the process while the main thread is busy. `writing` is called when it is able to. */
  watch(init: WatchdogInit, writing: () => void): void;
}

let provided: Extension | undefined;
let arrived: () => void;
/** Resolves when the extension is here. */
export const extended: Promise<void> = new Promise((resolve) => arrived = resolve);

/** Makes it available. */
export function extend(extension: Extension): void {
  provided = extension;
  arrived();
}

/** Whether it is here. */
export function isExtended(): boolean {
  return !!provided;
}

/**
 * What the extension brought.
 *
 * @throws {Error} If it is not here.
 */
export function extension(): Extension {
  if (!provided) throw new Error("Cannot do this before the extension is here");
  return provided;
}
