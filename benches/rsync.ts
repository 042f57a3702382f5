/**
 * `RSync` to a bare end, Deno or Node, next to the real `rsync` where that is found: a tree of 2,000 small files and a file of 200 MiB, each for the
 * first time, unchanged, and changed a little; and what both ends take of memory for the large file.
 *
 *   deno run -A benches/rsync.ts [--quick] [--json] [--runtime deno|node] [--dir DIR] [--only TEXT]
 *
 * The real one speaks to a server of its own through pipes, too (`-e` with a command that runs it here), which it starts each time; our end is up
 * already, as a gateway is. `--dir` says where the files are: in `/dev/shm` no disk hides what the two do. Milliseconds are medians of rounds in
 * which both have their turns, first the one, then the other; `ratio` is the median of the ratios of the rounds: below 1 we are faster. Before each
 * turn the file system is flushed, as it otherwise still deals with what the other one has left behind; and every copy goes to a directory that was never
 * there, as ext4 takes ten times as long to make files where many were removed within the last minutes. `--only` names cases by a part of their names.
 *
 * @module
 */

import { parseArgs } from "@std/cli";
import { RSync } from "../gateways/rsync.ts";
import { biosCommand, Connection } from "../mod.ts";
import { findInterpreters } from "../scripts/find_interpreters.ts";
import { median } from "./support/rounds.ts";

const { quick, json, runtime, dir, only = "" } = parseArgs(Deno.args, {
  boolean: ["quick", "json"],
  string: ["runtime", "dir", "only"],
});
const ROUNDS = quick ? 3 : 9;
const MIB = 1 << 20;
const FILES = 2000, FILE_SIZE = 4096, LARGE = (quick ? 50 : 200) * MIB;

/** Who copies. */
interface Contender {
  readonly name: string;
  copy(source: string, destination: string): Promise<void>;
}

/** What is copied, and what happens between two rounds, which is not measured. */
interface Case {
  readonly name: string;
  readonly source: string;
  /** Whether it is copied to another directory each time. */
  readonly anew?: true;
  prepare?(): Promise<void>;
}

const folder = await Deno.makeTempDir({ prefix: "across-bench-", ...(dir && { dir }) });

async function run(...[program = "", ...args]: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(program, { args, stdout: "null", stderr: "piped" }).output();
  if (!success) throw new Error(`"${program}" failed: ${new TextDecoder().decode(stderr)}`);
}

function random(size: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; at += 65536) crypto.getRandomValues(bytes.subarray(at, Math.min(at + 65536, size)));
  return bytes;
}

const clear = (path: string): Promise<void> => Deno.remove(path, { recursive: true }).catch(() => {});

/** Has the file system done what it was told before. */
async function flush(): Promise<void> {
  if (Deno.build.os === "linux") await run("sync", "-f", folder);
}

async function makeSources(): Promise<{ small: string; large: string }> {
  const small = `${folder}/small`, large = `${folder}/large`;
  for (let i = 0; i < FILES; i++) {
    const directory = `${small}/${i % 20}`;
    if (i < 20) await Deno.mkdir(directory, { recursive: true });
    await Deno.writeFile(`${directory}/${i}`, random(FILE_SIZE));
  }
  await Deno.mkdir(large);
  await Deno.writeFile(`${large}/file`, random(LARGE));
  return { small, large };
}

/** The real one, over a pipe. */
async function realRsync(): Promise<Contender | undefined> {
  try {
    await run("rsync", "--version");
  } catch {
    return undefined;
  }
  const shell = `${folder}/shell`;
  await Deno.writeTextFile(shell, '#!/bin/sh\nshift\nexec "$@"\n', { mode: 0o755 });
  return {
    name: "rsync",
    copy: (source, destination) => run("rsync", "-a", "-e", shell, `${source}/`, `here:${destination}/`),
  };
}

let changes = 0;

/** Changes one block in the middle of a file, another one each time, and makes sure that its time differs. */
async function changeBlock(path: string): Promise<void> {
  using file = await Deno.open(path, { write: true });
  await file.seek(LARGE / 2 + ++changes * 4096, Deno.SeekMode.Start);
  await file.write(random(4096));
  const time = new Date(Date.now() + 1000 * changes);
  await file.utime(time, time);
}

/** Resident memory of a process, bytes. */
function resident(pid: number): number {
  const pages = Number(Deno.readTextFileSync(`/proc/${pid}/statm`).split(" ")[1]);
  return pages * 4096;
}

/** How far the memory of both ends grows while a file is copied, MiB. */
async function memory(it: Contender, pids: readonly number[], source: string): Promise<number[] | undefined> {
  if (Deno.build.os !== "linux") return undefined;
  const before = pids.map(resident), most = [...before];
  const timer = setInterval(() => pids.forEach((pid, i) => most[i] = Math.max(most[i]!, resident(pid))), 5);
  try {
    const destination = `${folder}/memory`;
    await it.copy(source, destination);
    await clear(destination);
  } finally {
    clearInterval(timer);
  }
  return most.map((value, i) => Math.round((value - before[i]!) / MIB));
}

interface Row {
  readonly what: string;
  readonly times: Readonly<Record<string, number>>;
  readonly ratio?: number;
}

let copies = 0;

async function measure(cases: readonly Case[], contenders: readonly Contender[]): Promise<Row[]> {
  const rows: Row[] = [];
  for (const { name, source, anew, prepare } of cases) {
    const times: Record<string, number[]> = {};
    const destinations = new Map<Contender, string>();
    for (let round = -1; round < ROUNDS; round++) {
      for (const contender of round % 2 === 0 ? contenders : contenders.toReversed()) {
        if (anew || round === -1) destinations.set(contender, `${folder}/copy-${++copies}`);
        const destination = destinations.get(contender)!;
        await prepare?.();
        await flush();
        const start = performance.now();
        await contender.copy(source, destination);
        const time = performance.now() - start;
        // The first round warms up, and makes what the next ones compare with.
        if (round >= 0) (times[contender.name] ??= []).push(time);
        if (anew && source.endsWith("large")) await clear(destination);
      }
    }
    const [ours, theirs] = contenders.map((it) => times[it.name]!);
    rows.push({
      what: name,
      times: Object.fromEntries(Object.entries(times).map(([who, list]) => [who, median(list)])),
      ...(theirs && { ratio: median(ours!.map((time, round) => time / theirs[round]!)) }),
    });
  }
  return rows;
}

const results: Record<string, { rows: Row[]; grown?: number[] }> = {};
try {
  const { small, large } = await makeSources();
  const real = await realRsync();
  const node = (await findInterpreters()).find(({ label }) => label.startsWith("node 2"));
  const ends = [
    { label: `Deno ${Deno.version.deno}`, path: Deno.execPath() },
    ...(node ? [{ label: node.label, path: node.path }] : []),
  ].filter(({ label }) => label.toLowerCase().startsWith(runtime ?? ""));
  for (const { label, path } of ends) {
    await using connection = await Connection.fromCommand(biosCommand({ runtime: path })).ready();
    const ours: Contender = {
      name: "across",
      async copy(source, destination) {
        const rsync = new RSync(source);
        rsync.addTarget({ connection }, destination);
        await rsync.send();
      },
    };
    const [some, all] = [`${FILES} small files`, `${LARGE / MIB} MiB`];
    const cases: Case[] = [
      { name: `${some}, first time`, source: small, anew: true },
      { name: `${some}, unchanged`, source: small },
      { name: `${all}, first time`, source: large, anew: true },
      { name: `${all}, unchanged`, source: large },
      { name: `${all}, one block changed`, source: large, prepare: () => changeBlock(`${large}/file`) },
    ];
    const chosen = cases.filter(({ name }) => name.includes(only));
    const rows = await measure(chosen, [ours, ...(real ? [real] : [])]);
    const grown = await memory(ours, [Deno.pid, connection.status().peer?.pid ?? Deno.pid], large);
    results[label] = { rows, ...(grown && { grown }) };
  }
  if (json) console.log(JSON.stringify(results));
  else {
    for (const [label, { rows, grown }] of Object.entries(results)) {
      console.log(`\n${label}`);
      for (const { what, times, ratio } of rows) {
        const list = Object.entries(times).map(([who, ms]) => `${who} ${ms.toFixed(0).padStart(5)} ms`).join("   ");
        console.log(`  ${what.padEnd(32)} ${list}${ratio === undefined ? "" : `   ratio ${ratio.toFixed(2)}`}`);
      }
      if (grown) console.log(`  memory above idle: ${grown[0]} MiB here, ${grown[1]} MiB there`);
    }
    if (!real) console.log("\nThere is no rsync to compare with.");
  }
} finally {
  await clear(folder);
}
