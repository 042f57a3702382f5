/**
 * Where benches run: the Deno that runs them and, where it is found, a Node; on one core or on all.
 *
 * @module
 */

import { findInterpreters } from "../../scripts/find_interpreters.ts";

/** The core that what is done one after the other runs on. */
const CORE = "0";

/** A runtime to measure in. */
export interface BenchRuntime {
  /** Name and version. */
  readonly title: string;
  /** What runs a program. */
  readonly command: readonly string[];
}

/** The Node that is measured: Node 24 where it is found, or the one that is asked for; undefined if there is none. */
export async function findNode(wanted?: string): Promise<BenchRuntime | undefined> {
  if (wanted) return { title: wanted, command: [wanted] };
  const nodes = (await findInterpreters()).filter(({ label }) => label.startsWith("node "));
  const node = nodes.find(({ label }) => label.startsWith("node 24.")) ?? nodes.at(-1);
  return node && { title: node.label.replace("n", "N"), command: [node.path] };
}

/** The Deno that runs this. */
export const ownRuntime: BenchRuntime = {
  title: `Deno ${Deno.version.deno}`,
  command: [Deno.execPath(), "run", "-A", "--quiet"],
};

/** What goes before a command to have it run on one core, where we can; undefined where not. */
export async function pinning(): Promise<readonly string[] | undefined> {
  const pin = ["taskset", "-c", CORE];
  try {
    const [program = "", ...args] = [...pin, "true"];
    return (await new Deno.Command(program, { args }).output()).success ? pin : undefined;
  } catch {
    return undefined;
  }
}

/** Runs a program of a bench and reads its figures. */
export async function figures<T>([program = "", ...args]: readonly string[]): Promise<T> {
  const { success, stdout } = await new Deno.Command(program, { args, stderr: "inherit" }).output();
  if (!success) throw new Error(`"${[program, ...args].join(" ")}" failed`);
  return JSON.parse(new TextDecoder().decode(stdout));
}
