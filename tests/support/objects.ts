/**
 * Where the tests of objects run their functions: a child process of each kind of runtime, and a worker.
 *
 * @module
 */

import type { ProcessOptions } from "../../objects/mod.ts";
import { noLeaks } from "./leaks.ts";
import { testEachRuntime } from "./runtimes.ts";

/** The module that is run there. */
export const COUNTER: string = import.meta.resolve("../fixtures/objects/counter.ts");

/** Which runtimes processes are tested on, where all would say nothing more. */
export const usual = ({ name, version }: { readonly name: string; readonly version: string }): boolean =>
  name === "bun" || /^(?:2\.9|20|26)\./.test(version);

/** Where a function is to run. */
export type Place = Pick<ProcessOptions, "modules" | "runtime" | "worker">;

/** Declares a test for each place. It gets the options for `spawn.with()` and `pool()`. */
export async function testEachPlace(
  name: string,
  body: (options: Place) => Promise<void>,
): Promise<void> {
  await testEachRuntime(
    name,
    noLeaks(({ path }) => body({ modules: [COUNTER], runtime: path })),
    usual,
  );
  Deno.test(`${name} [worker]`, noLeaks(() => body({ modules: [COUNTER], worker: true })));
}
