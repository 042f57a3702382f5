/**
 * Much of what is allowed, from a peer that never stops: each is bounded, takes linear time, and gives its memory back.
 *
 * @module
 */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { FRAME } from "../protocol/frames.ts";
import { LIMITS } from "../protocol/limits.ts";
import { ACTION, MESSAGE, REFERENCE, WANT } from "../protocol/messages.ts";
import { collectGarbage } from "./support/garbage.ts";
import { condition } from "./support/leaks.ts";
import { inPair } from "./support/pair.ts";
import { base, frame, messageFrame, reference, writeCall, writeValue, written } from "./support/raw_messages.ts";
import { DIALLING, SERVING, withPeer } from "./support/raw_peer.ts";

const MEBI = 1 << 20;
const ping = { base: base.root, path: ["ping"] };

/** Bytes that this process uses, after a collection. */
function memory(): number {
  collectGarbage();
  const { heapUsed, external } = Deno.memoryUsage();
  return heapUsed + external;
}

/** Runs a test with another limit, as the real one would take too long to reach. */
async function limited(name: "calls" | "references", limit: number, body: () => Promise<void>): Promise<void> {
  const limits = LIMITS as { calls: number; references: number };
  const before = limits[name];
  limits[name] = limit;
  try {
    await body();
  } finally {
    limits[name] = before;
  }
}

Deno.test("a million calls that are never awaited are all carried out, and leave nothing behind", () =>
  inPair(async ({ left, right }) => {
    using counter = await left.callRef(() => {
      let count = 0;
      return { add: () => void count++, count: () => count };
    });
    const before = memory();
    const total = 1_000_000;
    for (let i = 0; i < total; i++) {
      counter.add();
      // A program that never lets go of the thread gets no answer, whatever it calls.
      if (i % 10_000 === 0) await new Promise((resolve) => setTimeout(resolve));
    }
    assertEquals(await counter.count(), total);
    await condition(
      async () => {
        collectGarbage();
        await new Promise((resolve) => setTimeout(resolve));
        return right.status().resultsHeld === 0;
      },
      "no result is held",
      20_000,
    );
    const grown = memory() - before;
    assert(grown < 32 * MEBI, `${grown} bytes`);
  }));

Deno.test(
  "a million calls of a hostile peer, held and never dropped, take no more memory than they must",
  withPeer(SERVING, async (peer) => {
    const before = memory();
    const total = 1_000_000;
    const calls = new Uint8Array(64 * 1024);
    let filled = 0;
    for (let i = 0; i < total; i++) {
      const bytes = messageFrame(MESSAGE.CALL, (w) => writeCall(w, { ...ping, id: peer.nextId(), flags: WANT.HOLD }));
      if (filled + bytes.length > calls.length) {
        await peer.send(calls.slice(0, filled));
        filled = 0;
      }
      calls.set(bytes, filled);
      filled += bytes.length;
    }
    await peer.send(calls.slice(0, filled));
    await peer.lives();
    assertEquals(peer.connection.status().resultsHeld, total);
    const each = (memory() - before) / total;
    assert(each < 400, `${each} bytes for each`);
  }),
);

Deno.test("calls that are open have a limit: more are refused, neither run nor held", () =>
  limited(
    "calls",
    100,
    withPeer({ ...SERVING, expose: { never: () => new Promise(() => {}) } }, async (peer) => {
      for (let i = 0; i < 50; i++) await peer.issue({ ...ping, flags: WANT.HOLD });
      for (let i = 0; i < 50; i++) await peer.issue({ base: base.root, path: ["never"] });
      for (let i = 0; i < 10; i++) {
        const { message } = await peer.failure({ ...ping, flags: WANT.HOLD | WANT.VALUE });
        assertStringIncludes(message, "Cannot take another call as 100 are open");
      }
      const { callsRunning, resultsHeld } = peer.connection.status();
      assertEquals([callsRunning, resultsHeld], [50, 50]);
      await peer.message(MESSAGE.DROP, (w) => [1, 1].forEach((number) => w.varint(number)));
      await peer.lives();
    }),
  ));

Deno.test("references that a peer hands out have a limit: what brings more fails its one call", () =>
  limited(
    "references",
    100,
    withPeer({ ...SERVING, expose: { keep: Array.prototype.push.bind([]) } }, async (peer) => {
      const keep = (from: number, count: number) => ({
        base: base.root,
        path: ["keep"],
        args: Array.from({ length: count }, (_, i) => reference.mine(REFERENCE.MINE, from + i)),
      });
      assertEquals(await peer.result(keep(1, 90)), 90);
      assertStringIncludes((await peer.failure(keep(1000, 20))).message, "Cannot hold more references");
      assertEquals(peer.connection.status().referencesHeld, 100);
      await condition(async () => {
        collectGarbage();
        await new Promise((resolve) => setTimeout(resolve));
        return peer.connection.status().referencesHeld === 90;
      }, "what came with the refused call is given back");
      assertEquals(await peer.result(keep(2000, 5)), 95);
      await peer.lives();
    }),
  ));

Deno.test(
  "a frame that never ends, byte by byte, neither grows nor keeps other messages from being answered before it",
  withPeer(SERVING, async (peer) => {
    // A part that announces a GiB, in frames of one byte each: others pass between them.
    const head = written((w) => {
      w.u32(1);
      w.u32(0);
      w.u32(1);
      w.f64(LIMITS.messageSize);
    });
    await peer.send(frame(FRAME.PART, head));
    const one = frame(FRAME.PART, Uint8Array.of(1, 0, 0, 0, 7));
    const before = memory();
    for (let i = 0; i < 20_000; i++) await peer.send(one);
    await peer.lives();
    const grown = memory() - before;
    assert(grown < 16 * MEBI, `${grown} bytes`);
    // And a frame of which each byte comes alone.
    const bytes = messageFrame(MESSAGE.CALL, (w) => writeCall(w, { ...ping, id: 9999, args: ["x".repeat(16_000)] }));
    for (const byte of bytes) await peer.send(Uint8Array.of(byte));
    assertEquals((await peer.answer(9999)).kind, MESSAGE.RESULT);
    await peer.lives();
    await peer.send(Uint8Array.of(FRAME.MESSAGE, 0, 0, 4, 1, 2, 3)); // which ends with the connection
  }),
);

Deno.test(
  "a hundred thousand idle frames, empty parts and abandoned messages leave nothing behind",
  withPeer(DIALLING, async (peer) => {
    const idle = new Uint8Array(40_000);
    for (let i = 0; i < 10; i++) await peer.send(idle);
    const before = memory();
    const open = frame(FRAME.PART, written((w) => [1, 100, 1].forEach((n) => w.u32(n)))); // and a part of a size
    const abandon = frame(FRAME.ABANDON, Uint8Array.of(1, 0, 0, 0));
    for (let i = 0; i < 20_000; i++) {
      await peer.send(open);
      await peer.send(frame(FRAME.PART, Uint8Array.of(1, 0, 0, 0)));
      await peer.send(abandon);
    }
    await peer.lives();
    const grown = memory() - before;
    assert(grown < 8 * MEBI, `${grown} bytes`);
  }),
);

Deno.test(
  "FETCH of one module under ever new URLs takes no more than its text each time",
  withPeer(DIALLING, async (peer) => {
    await peer.connection.export(new URL("fixtures/hostile/exported/", import.meta.url));
    const url = new URL("fixtures/hostile/exported/main.js", import.meta.url).href;
    const before = memory();
    for (let i = 1; i <= 300; i++) assert(await peer.fetched(i, `${url}?${i}`) !== undefined);
    peer.received.length = 0;
    const grown = memory() - before;
    assert(grown < 8 * MEBI, `${grown} bytes`);
    await peer.lives();
  }),
);

Deno.test(
  "answers that bring much and are not asked for leave nothing behind",
  withPeer(DIALLING, async (peer) => {
    const settled = await peer.answered((id) => peer.reply(id, id)) as number;
    const before = memory();
    for (let i = 0; i < 200; i++) {
      await peer.reply(settled, Array.from({ length: 100 }, (_, j) => reference.mine(REFERENCE.MINE, 100 * i + j + 1)));
    }
    await condition(async () => {
      collectGarbage();
      await new Promise((resolve) => setTimeout(resolve));
      return peer.connection.status().referencesHeld === 0;
    }, "all references are given back");
    await peer.got(({ kind }) => kind === MESSAGE.RELEASE, "a release");
    peer.received.length = 0;
    const grown = memory() - before;
    assert(grown < 8 * MEBI, `${grown} bytes`);
    await peer.lives();
  }),
);

Deno.test(
  "a call with more arguments than allowed is a ProtocolError",
  withPeer(SERVING, (peer) =>
    peer.breaks(
      () => peer.issue({ ...ping, action: ACTION.CALL, args: (w) => writeValue(w, new Array((1 << 16) + 1).fill(1)) }),
      "Cannot take the arguments of a call",
    )),
);
