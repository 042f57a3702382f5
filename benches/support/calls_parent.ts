/**
 * What `calls.ts` runs, under Deno and under Node: starts a child of the same kind for everybody who takes part, measures, and prints the figures as
 * a line of JSON. Its argument says what is measured: `alone` what is done one after the other, `together` the rest. A second one, `quick`: less thoroughly.
 *
 * @module
 */

import { biosCommand, Connection } from "../../mod.ts";
import type { Contender, Effort, Rates } from "./rounds.ts";
import { compare } from "./rounds.ts";
import type { Peer } from "./plain_peers.ts";
import { startFork, startJson, startRaw } from "./plain_peers.ts";

// deno-lint-ignore no-explicit-any -- there is none in the types for Deno
const node = (globalThis as any).Deno ? undefined : (globalThis as any).process;
const [what, quick] = node ? node.argv.slice(2) : Deno.args;
const effort: Effort = quick ? { slice: 60, rounds: 3 } : { slice: 200, rounds: 9 };

const MIB = 1 << 20;
const conn = Connection.fromCommand(biosCommand());

const echo = <T>(value: T): T => value;
const across: Peer = {
  call: (value) => conn.call(echo, value) as Promise<unknown>,
  callBack: (count) =>
    conn.call(async (back: (value: number) => Promise<number>, count: number) => {
      for (let i = 0; i < count; i++) await back(i);
    }, (value: number) =>
      value, count) as Promise<void>,
  close: () => conn.close(),
};

/** One after the other. */
async function inTurn({ call }: Peer, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    if (await call(i) !== i) throw new Error("Got another value back");
  }
}

/** With so many of them waiting for an answer at any time. */
function inFlight(width: number): (peer: Peer, count: number) => Promise<unknown> {
  return ({ call }, count) => {
    let issued = 0;
    const lane = async () => {
      while (issued < count) {
        const value = issued++;
        if (await call(value) !== value) throw new Error("Got another value back");
      }
    };
    return Promise.all(Array.from({ length: width }, lane));
  };
}

const peers: readonly (readonly [name: string, peer: Peer | undefined])[] = [
  ["across", across],
  ["JSON", await startJson()],
  ["fork", await startFork()],
];
const results: Record<string, Rates> = {};

async function calls(name: string, run: (peer: Peer, count: number) => Promise<unknown>): Promise<void> {
  const contenders: Contender[] = [];
  for (const [name, peer] of peers) if (peer) contenders.push({ name, run: (count) => run(peer, count) });
  results[name] = await compare(contenders, effort);
}

/** Echoes of bytes; the rates are MB of payload a second, each byte counted once for its way there and back. */
async function bytes(name: string, size: number): Promise<void> {
  const payload = new Uint8Array(size);
  for (let i = 0; i < size; i++) payload[i] = i * 7 >> 3;
  const repeated = (call: () => Promise<Uint8Array>) => async (count: number) => {
    for (let i = 0; i < count; i++) {
      const back = await call();
      if (back.length !== size || back[size - 1] !== payload[size - 1]) throw new Error("Got other bytes back");
    }
  };
  const raw = await startRaw(false), whole = await startRaw(true);
  const contenders: Contender[] = [
    { name: "across", run: repeated(() => across.call(payload)) },
    { name: "raw", run: repeated(() => raw.echo(payload)) },
    { name: "whole", run: repeated(() => whole.echo(payload)) },
  ];
  const [, [, json], [, fork]] = peers as [unknown, readonly [string, Peer], readonly [string, Peer | undefined]];
  if (fork) contenders.push({ name: "fork", run: repeated(() => fork.call(payload)) });
  if (size <= MIB) contenders.push({ name: "JSON", run: (count) => inTurnBase64(json, payload, count) });
  const rates = await compare(contenders, effort);
  results[name] = Object.fromEntries(
    Object.entries(rates).map(([name, list]) => [name, list.map((rate) => rate * size / 1e6)]),
  );
  await raw.close();
  await whole.close();
}

async function inTurnBase64({ call }: Peer, payload: Uint8Array, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const text = node ? Buffer.from(payload).toString("base64") : payload.toBase64();
    const back = await call(text);
    const got: Uint8Array = node ? Buffer.from(back, "base64") : Uint8Array.fromBase64(back);
    if (got.length !== payload.length) throw new Error("Got other bytes back");
  }
}
// deno-lint-ignore no-explicit-any -- as above
declare const Buffer: any;

await conn.ready();
if (what === "alone") {
  await calls("one in flight", inTurn);
  await calls("callbacks in turn", ({ callBack }, count) => callBack(count));
} else {
  await calls("64 in flight", inFlight(64));
  await calls("256 in flight", inFlight(256));
  await bytes("1 MiB echo", MIB);
  await bytes("64 MiB echo", 64 * MIB);
}
for (const [, peer] of peers) await peer?.close();
console.log(JSON.stringify(results));
