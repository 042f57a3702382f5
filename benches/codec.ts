/**
 * Encoding and decoding next to what else there is, from value to bytes to value, in one process and in turns.
 *
 *   deno run -A benches/codec.ts
 *   node benches/codec.ts --peers DIR       Node 24 runs it as it is
 *
 * The peers are fetched by Deno, or found in DIR/node_modules (`npm install msgpackr cbor-x seroval` in DIR); those that are missing
 * are left out.
 * `--json` prints nanoseconds for machines. What is measured of ours is the codec alone: no frames, no session.
 *
 * @module
 */

import { Decoder } from "../protocol/decoder.ts";
import { Encoder } from "../protocol/encoder.ts";
import { Reader } from "../protocol/reader.ts";
import { Writer } from "../protocol/writer.ts";

type RoundTrip = (value: unknown) => unknown;

interface Contender {
  readonly name: string;
  /** Cycles, identity, `Map`, `Set`, `Date`. */
  readonly graphs: boolean;
  /** Bytes as such. */
  readonly bytes: boolean;
  readonly roundTrip: RoundTrip;
}

// deno-lint-ignore no-explicit-any
type Loose = any;

const deno = (globalThis as Loose).Deno;
const args: readonly string[] = deno?.args ?? (globalThis as Loose).process.argv.slice(2);
const runtime = deno ? `Deno ${deno.version.deno}` : `Node ${(globalThis as Loose).process.versions.node}`;

/** Imports a peer; `undefined`, with a note, where it is not to be had. */
async function peer(name: string): Promise<Loose> {
  const directory = args[args.indexOf("--peers") + 1];
  try {
    if (args.includes("--peers")) {
      const { createRequire } = await import("node:module");
      const { resolve } = await import("node:path");
      return createRequire(`${resolve(directory!)}/`)(name);
    }
    return await import(deno ? `npm:${name}` : name);
  } catch (error) {
    console.error(`Without ${name}: ${(error as Error).message.split("\n")[0]}`);
  }
}

function ours(): RoundTrip {
  const none = () => {
    throw new Error("Nothing external occurs here");
  };
  const writer = new Writer(1 << 16);
  const reader = new Reader();
  const encoder = new Encoder({ classId: none, external: () => false });
  const decoder = new Decoder({ classById: none, external: none });
  return (value) => {
    writer.position = 0;
    encoder.begin();
    encoder.value(writer, value, "value");
    // What stands for the transport: it copies segments once.
    const segments = encoder.segments.map((segment) => new Uint8Array(segment).buffer);
    reader.reset(writer.bytes, 0, writer.position);
    decoder.begin(segments);
    return decoder.value(reader);
  };
}

async function contenders(): Promise<Contender[]> {
  const utf8 = new TextEncoder();
  const text = new TextDecoder();
  const list: Contender[] = [
    { name: "across", graphs: true, bytes: true, roundTrip: ours() },
    {
      name: "JSON, bytes",
      graphs: false,
      bytes: false,
      roundTrip: (v) => JSON.parse(text.decode(utf8.encode(JSON.stringify(v)))),
    },
    { name: "JSON, string", graphs: false, bytes: false, roundTrip: (v) => JSON.parse(JSON.stringify(v)) },
  ];
  const v8 = await import("node:v8");
  list.push({ name: "node:v8", graphs: true, bytes: true, roundTrip: (v) => v8.deserialize(v8.serialize(v)) });
  const msgpackr = await peer("msgpackr");
  if (msgpackr) {
    const plain = new msgpackr.Packr({ useRecords: false });
    const records = new msgpackr.Packr({ structures: [] });
    const graph = new msgpackr.Packr({ structures: [], structuredClone: true, moreTypes: true });
    list.push(
      { name: "msgpackr", graphs: false, bytes: true, roundTrip: (v) => plain.unpack(plain.pack(v)) },
      { name: "msgpackr, records", graphs: false, bytes: true, roundTrip: (v) => records.unpack(records.pack(v)) },
      { name: "msgpackr, structured", graphs: true, bytes: true, roundTrip: (v) => graph.unpack(graph.pack(v)) },
    );
  }
  const cbor = await peer("cbor-x");
  if (cbor) {
    const records = new cbor.Encoder({ structures: [] });
    const graph = new cbor.Encoder({ structures: [], structuredClone: true });
    list.push(
      { name: "cbor-x, records", graphs: false, bytes: true, roundTrip: (v) => records.decode(records.encode(v)) },
      { name: "cbor-x, structured", graphs: true, bytes: true, roundTrip: (v) => graph.decode(graph.encode(v)) },
    );
  }
  const seroval = await peer("seroval");
  if (seroval) {
    list.push({
      name: "seroval",
      graphs: true,
      bytes: true,
      roundTrip: (v) => seroval.fromJSON(JSON.parse(text.decode(utf8.encode(JSON.stringify(seroval.toJSON(v)))))),
    });
  }
  return list;
}

interface Workload {
  readonly name: string;
  readonly value: unknown;
  readonly needs?: "graphs" | "bytes";
}

function workloads(): Workload[] {
  const towns = ["Zürich", "Lyon", "San Sebastián", "Oslo", "Porto"];
  const rows = Array.from({ length: 1000 }, (_, i) => ({
    id: i * 7919,
    name: `User number ${i}`,
    email: `user.${i}@mail${i % 7}.example.org`,
    score: i * 1.37,
    active: i % 3 === 0,
    town: i % 11 === 0 ? null : towns[i % 5],
  }));
  const graph: Record<string, unknown> = {
    users: new Map(rows.slice(0, 20).map((row) => [row.id, row])),
    tags: new Set(["red", "green", "blue", "alpha", "beta"]),
    created: new Date(1_700_000_000_000),
    history: Array.from({ length: 20 }, (_, i) => new Date(1_600_000_000_000 + i * 86_400_000)),
  };
  graph.self = graph;
  graph.first = rows[0];
  return [
    { name: "[1, 2]", value: [1, 2] },
    { name: `["/home", { recursive: true }]`, value: ["/home", { recursive: true }] },
    { name: "1,000 rows of six fields", value: rows },
    { name: "1 MiB of bytes", value: mebibyte(), needs: "bytes" },
    { name: "Map, Set, Date, cycle", value: graph, needs: "graphs" },
  ];
}

function mebibyte(): Uint8Array {
  const bytes = new Uint8Array(1 << 20);
  for (let at = 0; at < bytes.length; at += 65536) crypto.getRandomValues(bytes.subarray(at, at + 65536));
  return bytes;
}

let sink: unknown;

/** Nanoseconds of one round trip: the best of many short rounds, taken in turns, so that other load hits none alone. */
function measure(workload: Workload, list: readonly Contender[]): Map<string, number> {
  const best = new Map<string, number>();
  const repeats = new Map<string, number>();
  for (const { name, roundTrip } of list) {
    try {
      roundTrip(workload.value);
    } catch {
      continue; // It cannot carry this.
    }
    const until = performance.now() + 300;
    let n = 0;
    for (; n < 3 || performance.now() < until; n++) sink = roundTrip(workload.value);
    repeats.set(name, Math.max(1, Math.floor(n / 60)));
    best.set(name, Infinity);
  }
  for (let round = 0; round < 60; round++) {
    for (const { name, roundTrip } of list) {
      const n = repeats.get(name);
      if (n === undefined) continue;
      const start = performance.now();
      for (let i = 0; i < n; i++) sink = roundTrip(workload.value);
      best.set(name, Math.min(best.get(name)!, (performance.now() - start) * 1e6 / n));
    }
  }
  return best;
}

const all = await contenders();
const results: Record<string, Record<string, number>> = {};
for (const workload of workloads()) {
  const list = all.filter((contender) => !workload.needs || contender[workload.needs]);
  results[workload.name] = Object.fromEntries(measure(workload, list));
}
void sink;

if (args.includes("--json")) console.log(JSON.stringify({ runtime, results }));
else {
  console.log(`${runtime}: one value to bytes and back; below 1.00 the peer is faster than across\n`);
  for (const [name, times] of Object.entries(results)) {
    console.log(name);
    const own = times["across"]!;
    for (const [contender, time] of Object.entries(times)) {
      const shown = time < 1e4 ? `${time.toFixed(0)} ns` : `${(time / 1e3).toFixed(1)} µs`;
      console.log(`  ${contender.padEnd(22)}${shown.padStart(12)}${(time / own).toFixed(2).padStart(9)}`);
    }
  }
}
