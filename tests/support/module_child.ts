/**
 * The far end of the tests of modules: a program that is bundled and run in each runtime. It takes a {@linkcode Job} on stdin, loads what is in it, and
 * prints what came of each step. It stops by itself, so whatever keeps it alive is a leak.
 *
 * @module
 */

import { ModuleLoader } from "../../modules/loader.ts";
import { type ModuleSource, unpackModules } from "../../modules/source.ts";

/** What the far end is to do. */
export interface Job {
  /** Packed modules, as base64. */
  readonly packed: string;
  /** What can be fetched later, by id. */
  readonly later?: Record<string, string>;
  readonly prefix?: string;
  readonly steps: readonly Step[];
}

/** Imports a module and calls one of its exports, if one is named; else the names of the exports are the result. Those in one array go at once. */
export interface Step {
  readonly import: string;
  readonly call?: string;
  readonly args?: readonly unknown[];
}

/** What came of a step. */
export interface Outcome {
  readonly value?: unknown;
  readonly error?: string;
  readonly stack?: string;
  readonly ms: number;
}

const bytes = (base64: string): Uint8Array => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));

async function main(): Promise<void> {
  const host = globalThis as unknown as {
    Deno?: { stdin: { readable: AsyncIterable<Uint8Array> } };
    process: { stdin: AsyncIterable<Uint8Array> };
  };
  let text = "";
  const decoder = new TextDecoder();
  for await (const chunk of host.Deno?.stdin.readable ?? host.process.stdin) {
    text += decoder.decode(chunk, { stream: true });
  }
  const job: Job = JSON.parse(text);
  const core = { marker: { here: true }, answer: () => 42 };
  (globalThis as Record<symbol, unknown>)[Symbol.for("across.core")] = { "@x/across": core };
  let fetches = 0;
  const loader = new ModuleLoader({
    prefix: job.prefix ?? "",
    fetch: async (id): Promise<ModuleSource[]> => {
      fetches++;
      const packed = job.later?.[id];
      if (packed) return await unpackModules(bytes(packed), 1e6);
      const { OperationError } = await import("../../protocol/errors.ts");
      throw new OperationError(`Cannot serve "${id}": it is not part of what was exported`);
    },
  });
  loader.install(await unpackModules(bytes(job.packed), 1e8));
  const outcomes: Outcome[] = [];
  for (const step of job.steps) {
    const start = performance.now();
    const done = () => Math.round((performance.now() - start) * 100) / 100;
    try {
      const namespace = await loader.import(step.import) as Record<string, (...args: unknown[]) => unknown>;
      const value = step.call ? await namespace[step.call]!(...step.args ?? []) : Object.keys(namespace).sort();
      outcomes.push({ value, ms: done() });
    } catch (error) {
      const { name, message, stack } = error as Error;
      outcomes.push({ error: `${name}: ${message}`, stack: loader.originalStack(String(stack)), ms: done() });
    }
  }
  loader.forget();
  console.log(JSON.stringify({ outcomes, fetches }));
}

await main();
