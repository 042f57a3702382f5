// RSync and large files: which blocks are sent, in pure functions and end to end; that names appear whole; memory.

import { assert, assertEquals } from "@std/assert";
import { createHash } from "node:crypto";
import { BlockSums, Matcher, weakSum } from "../gateways/rsync_blocks.ts";
import type { Step } from "../gateways/rsync_blocks.ts";
import { blockSize } from "../gateways/rsync_messages.ts";
import { canSeeLeaks } from "./support/leaks.ts";
import { runtime } from "./support/runtimes.ts";
import { describe, noise, put, sendTo, withEnd } from "./support/trees.ts";

const digest = (bytes: Uint8Array): Uint8Array => createHash("sha256").update(bytes).digest();

function sumsOf(older: Uint8Array, block: number, only?: "strong"): BlockSums {
  const sums = new BlockSums(older.length, block);
  for (let i = 0; i < sums.count; i++) {
    const bytes = older.subarray(i * block, i * block + sums.lengthOf(i));
    const weak = new DataView(new ArrayBuffer(4));
    weak.setUint32(0, weakSum(bytes), true);
    assert(sums.add(digest(bytes).subarray(0, 16)));
    if (!only) assert(sums.addWeak(new Uint8Array(weak.buffer)));
  }
  return sums;
}

/** Sends a file to who has an older version, in pieces. Returns how many bytes had to be sent. */
function transfer(older: Uint8Array, newer: Uint8Array, block: number, piece: number): number {
  const matcher = new Matcher(sumsOf(older, block), digest);
  const arrived: number[] = [];
  let sent = 0;
  const take = (steps: readonly Step[]): void => {
    for (const step of steps) {
      const bytes = "data" in step
        ? step.data
        : older.subarray(step.copy * block, Math.min(older.length, (step.copy + step.count) * block));
      if ("data" in step) sent += bytes.length;
      for (const byte of bytes) arrived.push(byte);
    }
  };
  for (let at = 0; at < newer.length; at += piece) take(matcher.push(newer.slice(at, at + piece)));
  take(matcher.end());
  assertEquals(arrived.length, newer.length);
  assert(arrived.every((byte, i) => byte === newer[i]));
  return sent;
}

Deno.test("blocks are found where they were and where they went", () => {
  const older = noise(50_000), block = 512;
  const changed = older.slice();
  changed[20_000]! ^= 1;
  for (const piece of [100, 512, 4096, 50_000]) {
    assertEquals(transfer(older, older, block, piece), 0);
    assertEquals(transfer(older, changed, block, piece), 512);
    assertEquals(transfer(older, Uint8Array.from([7, ...older]), block, piece), 1);
    assertEquals(transfer(older, older.subarray(3), block, piece), 509);
    assertEquals(transfer(older, older.subarray(0, 49_000), block, piece), 49_000 % 512);
    assertEquals(transfer(older, Uint8Array.from([...older, 7]), block, piece), 50_000 % 512 + 1);
    assertEquals(transfer(older, noise(30_000, 2), block, piece), 30_000);
    assertEquals(transfer(new Uint8Array(0), older, block, piece), 50_000);
    assertEquals(transfer(older, new Uint8Array(0), block, piece), 0);
  }
});

Deno.test("whatever is cut, inserted and repeated, the same file arrives", () => {
  let seed = 1;
  const random = (n: number): number => (seed = Math.imul(seed, 48271) % 0x7fffffff) < 0 ? -seed % n : seed % n;
  for (let round = 0; round < 300; round++) {
    const older = noise(random(5000), round + 1);
    const newer = [...older];
    for (let edits = random(4); edits > 0; edits--) {
      const at = random(newer.length + 1);
      newer.splice(at, random(2) ? 0 : random(100), ...newer.slice(at, at + random(200)), ...Array(random(50)).fill(7));
    }
    transfer(older, Uint8Array.from(newer), 1 + random(200), 1 + random(300));
  }
});

Deno.test("files that are made to look alike cost a bounded number of digests", () => {
  // One block of 100s is like all others, and so is any block in which three neighbours have become 101, 98, 101.
  const block = 64, count = 60;
  const alike = new Uint8Array(block * count).fill(100);
  for (let i = 0; i < count; i++) alike.set([101, 98, 101], i * block + i);
  const newer = new Uint8Array(block * count).fill(100);
  let digests = 0;
  const matcher = new Matcher(sumsOf(alike, block), (bytes) => (digests++, digest(bytes)));
  matcher.push(newer);
  matcher.end();
  assert(digests > 32 && digests < newer.length / 2, `${digests} digests for ${newer.length} bytes`);
});

Deno.test("blocks are looked for elsewhere, which takes weak checksums, only where something has moved", () => {
  const older = noise(50_000), block = 512;
  const changed = older.slice();
  for (const at of [0, 20_000, 20_480, 20_992, 49_999]) changed[at]! ^= 1;
  const inPlace = new Matcher(sumsOf(older, block, "strong"), digest);
  const steps = [...inPlace.push(changed.subarray(0, 30_000)), ...inPlace.push(changed.subarray(30_000))];
  steps.push(...inPlace.end());
  assertEquals(inPlace.stalled, false);
  const sent = steps.map((step) => "data" in step ? step.data.length : step.copy);
  assertEquals(sent, [512, 1, 3 * 512, 42, 50_000 % 512]);

  const moved = new Matcher(sumsOf(older, block, "strong"), digest);
  moved.push(older.subarray(1));
  assertEquals([moved.stalled, moved.searching], [true, true]);
  const early = new Matcher(new BlockSums(older.length, block), digest);
  early.push(older);
  assertEquals([early.stalled, early.searching], [true, false]);
  assertEquals(early.end(), []);
  assertEquals([early.stalled, early.searching], [true, false]);
});

Deno.test("blocks are as large as it takes to have a bounded number of them", () => {
  assertEquals(blockSize(200 << 20), 32 << 10);
  for (let size = 1; size < 2 ** 45; size *= 2) {
    const block = blockSize(size);
    assert(block === 0 ? size > 2 ** 38 : size / block <= 1 << 18);
  }
});

Deno.test(
  "of a large file that changed only what is new is sent",
  withEnd(async (folder, connection) => {
    const source = `${folder}/source`, destination = `${folder}/copy`;
    const original = noise(5_000_003);
    let seconds = 1_600_000_000;
    const send = async (bytes: Uint8Array): Promise<number> => {
      await put(`${source}/file`, bytes, seconds++);
      const { sentBytes } = await sendTo(connection, source, destination);
      assertEquals(await describe(destination), await describe(source));
      return sentBytes;
    };
    const block = blockSize(original.length);
    assertEquals(await send(original), original.length);
    assertEquals(await send(original), 0);
    const changed = original.slice();
    changed[2_500_000]! ^= 1;
    assertEquals(await send(changed), block);
    assertEquals(await send(original), block);
    const longer = new Uint8Array([...original.subarray(0, 1_000_000), 1, 2, 3, ...original.subarray(1_000_000)]);
    assert(await send(longer) <= block + 3);
    assert(await send(original) <= block);
    assertEquals(await send(original.subarray(0, 40 * block)), 0, "cut off");
    assertEquals(await send(original.subarray(10 * block, 30 * block)), 0, "moved");
    assertEquals(await send(noise(4_000_000, 3)), 4_000_000, "nothing in common");
    assertEquals(await send(noise(1000, 4)), 1000, "small now");
    assertEquals(await send(original), original.length, "large again");
  }),
);

Deno.test(
  "many files that changed are compared, some ahead of their turn",
  withEnd(async (folder, connection) => {
    const source = `${folder}/source`, destination = `${folder}/copy`;
    const changes: (() => Promise<void>)[] = [];
    for (let i = 0; i < 50; i++) {
      const bytes = noise(150_000 + i * 1000, i + 1), path = `${source}/${i % 5}/${i}`;
      await put(path, bytes);
      bytes[i * 100]! ^= 1;
      // Some become small, and one vanishes after it was listed.
      changes.push(() => put(path, i % 7 === 0 ? bytes.subarray(0, 1000) : bytes, 1_600_000_001));
    }
    await sendTo(connection, source, destination);
    for (const change of changes) await change();
    const { sent, errors } = await sendTo(connection, source, destination, {
      raises: false,
      filter(path) {
        if (path === "3/13") Deno.removeSync(`${source}/${path}`);
        return true;
      },
    });
    assertEquals([sent, errors.map(({ path }) => path)], [49, ["3/13"]]);
    await Deno.remove(`${destination}/3/13`);
    const files = (lines: string[]): string[] => lines.filter((line) => !line.includes("/ "));
    assertEquals(files(await describe(destination)), files(await describe(source)));
  }),
);

Deno.test(
  "a file that is changed over there while it is compared fails alone, and is not harmed",
  withEnd(async (folder, connection) => {
    const source = `${folder}/source`, destination = `${folder}/copy`;
    const bytes = noise(8 << 20);
    await put(`${source}/file`, bytes);
    await put(`${source}/other`, "other");
    await sendTo(connection, source, destination);
    bytes[7 << 20]! ^= 1;
    await put(`${source}/file`, bytes, 1_600_000_001);
    let touched = false;
    const { errors, unchanged } = await sendTo(connection, source, destination, {
      raises: false,
      callback({ type }) {
        if (touched || type !== "progress") return;
        touched = true;
        Deno.writeTextFileSync(`${destination}/file`, "theirs");
      },
    });
    assertEquals([unchanged, errors.map(({ path }) => path)], [1, ["file"]]);
    assertEquals(await Deno.readTextFile(`${destination}/file`), "theirs");
    assertEquals([...Deno.readDirSync(destination)].map(({ name }) => name).sort(), ["file", "other"]);
    await sendTo(connection, source, destination);
    assertEquals(await describe(destination), await describe(source));
  }),
);

Deno.test(
  "a name always has a whole file behind it",
  withEnd(async (folder, connection) => {
    const source = `${folder}/source`, destination = `${folder}/copy`;
    const sizes = new Set<number>();
    await put(`${destination}/file`, noise(5 << 20, 2));
    await put(`${source}/file`, noise(16 << 20));
    await sendTo(connection, source, destination, {
      callback: () => void sizes.add(Deno.statSync(`${destination}/file`).size),
    });
    assertEquals([...sizes], [5 << 20, 16 << 20]);
  }),
);

for (const [name, version] of [["deno", undefined], ["node", 24], ["bun", undefined]] as const) {
  const { path } = await runtime(name, version);
  Deno.test(
    `a large file takes less than 64 MiB on either side [${name}]`,
    { ignore: !canSeeLeaks },
    withEnd(async (folder, connection) => {
      const source = `${folder}/source`;
      await Deno.mkdir(source);
      // Holes read as zeros, so that nothing has to be written before.
      const size = 192 << 20;
      await Deno.writeFile(`${source}/file`, new Uint8Array(1));
      await Deno.truncate(`${source}/file`, size);
      const pids = [Deno.pid, connection.status().peer?.pid ?? await connection.execute<number>("process.pid")];
      const resident = (pid: number): number =>
        Number(Deno.readTextFileSync(`/proc/${pid}/statm`).split(" ")[1]) * 4096;
      await put(`${folder}/warm/file`, noise(1 << 20));
      await sendTo(connection, `${folder}/warm`, `${folder}/copy`);
      const before = pids.map(resident), most = [...before];
      const callback = (): void => pids.forEach((pid, i) => most[i] = Math.max(most[i]!, resident(pid)));
      await sendTo(connection, source, `${folder}/copy`, { callback });
      assertEquals((await Deno.stat(`${folder}/copy/file`)).size, size);
      const grown = most.map((value, i) => Math.round((value - before[i]!) / (1 << 20)));
      assert(grown.every((mib) => mib < 64), `grew by ${grown.join(" and ")} MiB`);
    }, path),
  );
}
