/**
 * Objects that are driven from other processes, functions that run in processes of their own, and errors in groups.
 *
 * @example An object that goes on with its own work in another process, while it is driven from here
 * ```ts ignore
 * import { Served, spawn } from "@x/across/objects";
 *
 * export class Counter {
 *   count = 0;
 *   stop = false;
 *   readonly remote = new Served<Counter>(this);
 * }
 *
 * export async function run(counter: Counter): Promise<void> {
 *   const listening = counter.remote.listen();
 *   while (!counter.stop) await new Promise((resolve) => setTimeout(resolve, 1, counter.count++));
 *   listening[Symbol.dispose]();
 * }
 *
 * if (import.meta.main) {
 *   const counter = new Counter();
 *   await using p = spawn.with({ modules: [import.meta] })(run, counter);
 *   await counter.remote.untilListening();
 *   console.log(await counter.remote.face.count);
 *   await set(counter.remote.face, "stop", true);
 * }
 * ```
 *
 * @module
 */

/*
 * What is public is built on `Connection`: processes are booted, called and ended through it, copies of `Served` and `Except` speak to their originals
 * by plain references, and what runs over there is sent by its source. Some of the session is used beside it, because there is nothing public that does
 * it, nor should there be:
 *
 * - `faces.ts` and `call.ts`: `served.face` is one proxy whose object may be here, elsewhere or nowhere, so that its operations are issued by something
 *   of its own (`gate.ts`, `route.ts`), and not by a connection. `get()` gives up what is late, and `terminate()` the function's call.
 * - `perform.ts`, `lookup.ts`, `marks.ts` and `context.ts`: what is done to an object that is here must mean the same as what a peer does to it.
 * - `source.ts`: an error of a function that was sent by its source says why, as one of `Connection.call()` does.
 * - `watch.ts`: one listener on a signal, however many calls it ends.
 *
 * `scripts/check_imports.ts` lists these files, and lets no other one in.
 */

export { Except, LocalExcept } from "./except.ts";
export type { CatchOptions, ErrorClass, ExceptOptions, Group } from "./except.ts";
export { get, passTo, superOf } from "./operations.ts";
export { Pool, pool } from "./pool.ts";
export type { PoolOptions, PoolStatus } from "./pool_options.ts";
export { Process } from "./process.ts";
export type { ResultOf, YieldOf } from "./process.ts";
export type { MemberOptions, ProcessOptions } from "./process_options.ts";
export { Served } from "./served.ts";
export type { Listening, ListenOptions, RequestOptions, ServedOptions } from "./served.ts";
export { spawn } from "./spawn.ts";
export type { Spawn } from "./spawn.ts";
export { PoolScope } from "./tasks.ts";
export type { WaitOptions } from "./waits.ts";
