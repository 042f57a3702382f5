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
