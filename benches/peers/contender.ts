/**
 * What takes part in the comparison: how each starts its other side, and what it can be asked to do then. One file per contender is beside this one.
 *
 * @module
 */

import { selfCommand, startPipes } from "../support/pipes.ts";
import type { Pipes } from "../support/pipes.ts";

/** What a process, or a thread, has used. */
export interface Usage {
  /** Bytes of its heap that are in use, and of buffers, after a garbage collection. */
  readonly heap: number;
  /** Bytes of all its memory before that. */
  readonly rss: number;
  /** Processor time of the whole process so far, in microseconds: before the garbage collection, and after. */
  readonly spent: readonly [before: number, after: number];
}

/** The other side, as it is seen from here. */
export interface Peer {
  /** Gets the value back. */
  call(value: unknown): Promise<unknown>;
  /** Has the other side call us so many times, one after the other. */
  callBack(count: number): Promise<unknown>;
  /** Three calls, each of which takes the result of the one before; the first takes the value. */
  chain(value: number): Promise<unknown>;
  /** What the other side has used. */
  usage(): Promise<Usage>;
  close(): Promise<unknown>;
}

/** One of those who are compared. */
export interface Contender {
  readonly name: string;
  /** Bytes go as base64, as it has nothing better for them. */
  readonly textOnly?: boolean;
  /** A thread of the same process, whose memory is not told apart. */
  readonly thread?: boolean;
  /**
   * Starts the other side.
   *
   * @param latency Milliseconds that everything takes each way.
   * @returns the peer; nothing where the runtime cannot do it
   */
  start(latency: number): Promise<Peer | undefined>;
  /** Is the other side. */
  serve?(): void | Promise<void>;
}

/** What the other side does. */
export interface Service {
  echo(value: unknown): unknown;
  usage(): Promise<Usage>;
}

/** What every other side does, whatever carries it. */
export const service: Service = { echo: (value) => value, usage };

/** What this process or thread has used. Its text travels, so it uses nothing from around it. */
export async function usage(): Promise<Usage> {
  const [{ default: process }, v8, vm] = await Promise.all([
    import("node:process"),
    import("node:v8"),
    import("node:vm"),
  ]);
  const spent = () => {
    const { user, system } = process.cpuUsage();
    return user + system;
  };
  const before = spent();
  const { rss } = process.memoryUsage();
  v8.setFlagsFromString("--expose-gc");
  const gc = vm.runInNewContext("gc");
  // Finalizers run between turns, and free more.
  for (let i = 0; i < 3; i++) {
    gc();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  const { heapUsed, external } = process.memoryUsage();
  return { rss, heap: heapUsed + external, spent: [before, spent()] };
}

/** Calls so many times, one after the other. */
export async function loop(back: (value: number) => unknown, count: number): Promise<void> {
  for (let i = 0; i < count; i++) await back(i);
}

/** Three dependent calls by somebody who cannot go on from a result before it is here. */
export async function inSteps(call: (value: unknown) => Promise<unknown>, value: unknown): Promise<unknown> {
  for (let step = 0; step < 3; step++) value = await call(value);
  return value;
}

/** Starts the other side of a contender as a child process. */
export function startServing(name: string, latency: number): Promise<Pipes> {
  return startPipes(selfCommand("serve", name), latency);
}

/** Makes a function that does what another one does, so many milliseconds later. */
export function later<T>(latency: number, take: (value: T) => void): (value: T) => void {
  return latency > 0 ? (value) => void setTimeout(take, latency, value) : take;
}
