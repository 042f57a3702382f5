/**
 * Two connections in this process that are joined by a pair of pipes, and a check that neither keeps anything of the other at the end.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import type { OptionsInit } from "../../mod.ts";
import { Connection } from "../../mod.ts";
import { collectGarbage } from "./garbage.ts";
import { condition } from "./leaks.ts";

/** Two ends. `left` is where tests call from; both accept calls and modules unless told otherwise. */
export interface Pair {
  readonly left: Connection;
  readonly right: Connection;
}

/** The two directions of a stream in memory, which a test may cut or listen to. */
export function pipes(): [
  there: TransformStream<Uint8Array, Uint8Array>,
  back: TransformStream<Uint8Array, Uint8Array>,
] {
  const make = () => new TransformStream<Uint8Array, Uint8Array>({}, { highWaterMark: 4 }, { highWaterMark: 4 });
  return [make(), make()];
}

/** Connects two ends. */
export async function pair(leftOptions: OptionsInit = {}, rightOptions: OptionsInit = {}): Promise<Pair> {
  const [there, back] = pipes();
  const left = Connection.fromPipes(back.readable, there.writable, leftOptions);
  const right = Connection.fromPipes(there.readable, back.writable, { acceptExportedModules: true, ...rightOptions });
  await Promise.all([left.ready(), right.ready()]);
  return { left, right };
}

/**
 * Connects two ends for a test, checks afterwards, when its variables are gone, that neither keeps anything of the other, and closes them.
 */
export async function inPair(
  body: (ends: Pair) => Promise<void>,
  leftOptions: OptionsInit = {},
  rightOptions: OptionsInit = {},
): Promise<void> {
  const { left, right } = await pair(leftOptions, rightOptions);
  try {
    await body({ left, right });
    if (left.isConnected() && right.isConnected()) await baseline(left, right);
  } finally {
    await left.close();
    await right.close();
  }
}

/**
 * Waits until nothing is held or under way between two ends any more.
 *
 * @throws {Error} If something is left.
 */
export async function baseline(...connections: readonly Connection[]): Promise<void> {
  const left = () =>
    connections.map((connection) => {
      const { callsInFlight, callsRunning, referencesHeld, referencesGiven, resultsHeld, streamsOpen } = connection
        .status();
      return { callsInFlight, callsRunning, referencesHeld, referencesGiven, resultsHeld, streamsOpen };
    });
  const clean = () => left().every((counts) => Object.values(counts).every((count) => count === 0));
  await condition(
    async () => {
      collectGarbage();
      await new Promise((resolve) => setTimeout(resolve));
      return clean();
    },
    "both tables are empty",
    5_000,
  ).catch(() => assertEquals(left(), left().map(() => NOTHING)));
}

/**
 * The same for a connection to a remote end, whose own tables are asked for: nothing runs there but the question, nothing is held on either side.
 *
 * @throws {Error} If something is left.
 */
export async function settled(connection: Connection): Promise<void> {
  const counts = async () => {
    const here = connection.status();
    const there = await connection.execute<typeof here>(`
      const { setFlagsFromString } = await import("node:v8"), { runInNewContext } = await import("node:vm");
      if (globalThis.Bun) Bun.gc(true);
      else setFlagsFromString("--expose-gc"), runInNewContext("gc")();
      await new Promise((resolve) => setTimeout(resolve));
      (await import("@x/across")).getConnection().status()`);
    return [
      [
        here.callsInFlight,
        here.callsRunning,
        here.referencesHeld,
        here.resultsHeld,
        here.referencesGiven,
        here.streamsOpen,
      ],
      [
        there.callsInFlight,
        there.callsRunning - 1,
        there.referencesGiven,
        there.resultsHeld,
        there.referencesHeld,
        there.streamsOpen,
      ],
    ];
  };
  let last: number[][] = [];
  await condition(
    async () => {
      collectGarbage();
      last = await counts();
      return last.flat().every((count) => count === 0);
    },
    "both tables are empty",
    10_000,
  ).catch(() => assertEquals(last, [[0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]]));
}

const NOTHING = {
  callsInFlight: 0,
  callsRunning: 0,
  referencesHeld: 0,
  referencesGiven: 0,
  resultsHeld: 0,
  streamsOpen: 0,
};
