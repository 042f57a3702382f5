/**
 * What is done to a peer while its speed is measured: each checks what comes back.
 *
 * @module
 */

import type { Contender as Peers, Peer } from "../peers/contender.ts";
import { deno } from "./pipes.ts";
import type { Contender, Effort, Rates } from "./rounds.ts";
import { compare } from "./rounds.ts";

// deno-lint-ignore no-explicit-any -- there is none in the types for Deno
const { Buffer } = globalThis as any;

/** A side that was started, and whose it is. */
export interface Started extends Peer {
  readonly contender: Peers;
}

/** Milliseconds that each is used before anything is measured: what is compiled and started only once is none of a bench's business. */
const WARM_UP = 300;

/** Starts the other sides of those who can. */
export async function startAll(contenders: readonly Peers[], latency = 0): Promise<Started[]> {
  const started: Started[] = [];
  for (const contender of contenders) {
    const peer = await contender.start(latency);
    if (peer) started.push({ ...peer, contender });
  }
  for (const peer of started) {
    for (const end = performance.now() + WARM_UP; performance.now() < end;) await inFlight(16)(peer, 16);
  }
  return started;
}

/** Ends them. */
export async function closeAll(peers: readonly Started[]): Promise<void> {
  for (const peer of peers) await peer.close();
}

/** One call after the other. */
export async function inTurn({ call }: Peer, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    if (await call(i) !== i) throw new Error("Got another value back");
  }
}

/** With so many of them waiting for an answer at any time. */
export function inFlight(width: number): (peer: Peer, count: number) => Promise<unknown> {
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

/** One chain of three calls after the other. */
export async function chains({ chain }: Peer, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    if (await chain(i) !== i) throw new Error("Got another value back");
  }
}

const toText = (bytes: Uint8Array): string => deno ? bytes.toBase64() : Buffer.from(bytes).toString("base64");
const fromText = (text: string): Uint8Array => deno ? Uint8Array.fromBase64(text) : Buffer.from(text, "base64");

/** Echoes of so many bytes, for those who cannot send bytes as base64. */
export function echoes(size: number): (peer: Started, count: number) => Promise<void> {
  const payload = new Uint8Array(size);
  for (let i = 0; i < size; i++) payload[i] = i * 7 >> 3;
  return async ({ call, contender: { textOnly } }, count) => {
    for (let i = 0; i < count; i++) {
      const back = await call(textOnly ? toText(payload) : payload);
      const bytes = textOnly ? fromText(back as string) : back as Uint8Array;
      if (bytes.length !== size || bytes[size - 1] !== payload[size - 1]) throw new Error("Got other bytes back");
    }
  };
}

/** Measures a workload with everybody, in turns. */
export function measure<P extends Started>(
  peers: readonly P[],
  run: (peer: P, count: number) => Promise<unknown>,
  effort: Effort,
  others: readonly Contender[] = [],
): Promise<Rates> {
  const ours = peers.map((peer) => ({ name: peer.contender.name, run: (count: number) => run(peer, count) }));
  return compare([...ours, ...others], effort);
}

/** Turns calls of so many bytes a second into MB a second. */
export function inMegabytes(rates: Rates, size: number): Rates {
  return Object.fromEntries(
    Object.entries(rates).map(([name, list]) => [name, list.map((rate) => rate * size / 1e6)]),
  );
}

/** Makes this process the other side of the contender that `args` name, if they do. Says whether it is. */
export async function serves(contenders: readonly Peers[], args: readonly string[]): Promise<boolean> {
  if (args[0] !== "serve") return false;
  await contenders.find(({ name }) => name === args[1])!.serve!();
  return true;
}
