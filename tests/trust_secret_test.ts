// options.secret from an attacker's side, over streams in memory. What servers make of it is in trust_servers_test.ts.

import { assert, assertEquals } from "@std/assert";
import { Connection, DisconnectError, ProtocolError } from "../mod.ts";
import { equalBytes, SIDE } from "../protocol/proof.ts";
import type { Side } from "../protocol/proof.ts";
import { provedWire } from "../transports/proof.ts";
import { pipesWire } from "../transports/web_streams.ts";
import { assertRejects } from "./support/assert_rejects.ts";
import { condition } from "./support/leaks.ts";
import { pair, pipes } from "./support/pair.ts";
import { answer, bytes, challenge, DIALS, EITHER, LISTENS, RawEnd, SUPERBLOCK } from "./support/prover.ts";
import type { Inbox } from "./support/wires.ts";
import { receive } from "./support/wires.ts";

const SECRET = "correct horse battery staple";

/** A connection that wants a secret, and an attacker at the other end. */
function victim(options: { secret?: string; timeout?: number } = {}): { conn: Connection; raw: RawEnd } {
  const [there, back] = pipes();
  const conn = Connection.fromPipes(there.readable, back.writable, { secret: SECRET, ...options });
  return { conn, raw: new RawEnd(back.readable, there.writable) };
}

/** A proved wire that plays a given part, what it lets through, and an attacker at the other end. */
function guarded(side: Side, timeout = 60_000): { inbox: Inbox; raw: RawEnd; written: Promise<void> | undefined } {
  const [there, back] = pipes();
  const wire = provedWire(pipesWire(there.readable, back.writable), { secret: SECRET, side, timeout });
  const inbox = receive(wire);
  const written = wire.write(bytes("nothing for strangers"));
  written?.catch(() => {});
  return { inbox, raw: new RawEnd(back.readable, there.writable), written };
}

/** Checks that a peer was turned away, that it saw nothing but the challenge, and that nothing it sent was let through. */
async function assertRefused({ inbox, raw }: ReturnType<typeof guarded>, message: string): Promise<void> {
  const error = await inbox.ended;
  assert(error instanceof ProtocolError, `${error}`);
  assert(error.message.includes(message), error.message);
  assert(!error.message.includes(SECRET));
  assertEquals(inbox.size(), 0);
  await raw.close();
}

Deno.test("two sides that know the secret connect, call each other, and close", async () => {
  const { left, right } = await pair({ secret: SECRET }, { secret: new TextEncoder().encode(SECRET) });
  assertEquals(await left.call((a: number, b: number) => a + b, 1, 2), 3);
  assertEquals(await right.call((list: Uint8Array) => list.length, new Uint8Array(1 << 20)), 1 << 20);
  await left.close();
  await right.close();
});

Deno.test("the proof can be given by what docs/protocol.md says of it, whoever dialled", async () => {
  for (const side of [DIALS, LISTENS]) {
    const { conn, raw } = victim();
    const mine = challenge(side);
    await raw.write(mine);
    const theirs = await raw.read(48);
    assertEquals(theirs.subarray(0, 16), challenge(EITHER).subarray(0, 16));
    if (side === DIALS) {
      await raw.write(answer(SECRET, DIALS, mine, theirs));
      assertEquals(await raw.read(32), answer(SECRET, LISTENS, mine, theirs));
    } else {
      assertEquals(await raw.read(32), answer(SECRET, DIALS, theirs, mine));
      await raw.write(answer(SECRET, LISTENS, theirs, mine));
    }
    assertEquals(await raw.read(16), SUPERBLOCK);
    conn.cancel();
    await conn.close();
    await raw.close();
  }
});

Deno.test("where neither side knows who dialled, the greater nonce decides", async () => {
  for (const [byte, first] of [[0, false], [255, true]] as const) {
    const { conn, raw } = victim();
    const mine = challenge(EITHER, new Uint8Array(32).fill(byte));
    await raw.write(mine);
    const theirs = await raw.read(48);
    if (first) await raw.write(answer(SECRET, DIALS, mine, theirs));
    const expected = first ? answer(SECRET, LISTENS, mine, theirs) : answer(SECRET, DIALS, theirs, mine);
    assertEquals(await raw.read(32), expected);
    conn.cancel();
    await conn.close();
    await raw.close();
  }
});

Deno.test("a wrong secret connects neither side, and no error names either one", async () => {
  const [there, back] = pipes();
  const wrong = "incorrect horse";
  const left = Connection.fromPipes(back.readable, there.writable, { secret: SECRET });
  const right = Connection.fromPipes(there.readable, back.writable, { secret: wrong });
  const called = assertRejects(() => left.call(() => 1), DisconnectError, "Connection was aborted");
  const errors = await Promise.all([left, right].map((it) => assertRejects(() => it.ready(), ProtocolError)));
  errors.push(await called);
  for (const { message, stack } of errors) {
    assert(message.includes("Cannot authenticate the peer"), message);
    assert(!`${message}${stack}`.includes(SECRET) && !`${message}${stack}`.includes(wrong), message);
  }
  await left.close();
  await right.close();
});

Deno.test("a peer without a secret is refused at once, on either side, and told that it takes one", async () => {
  const [there, back] = pipes();
  const left = Connection.fromPipes(back.readable, there.writable, { secret: SECRET });
  const right = Connection.fromPipes(there.readable, back.writable);
  const theirs = assertRejects(() => right.ready(), ProtocolError, "pass the option secret");
  await assertRejects(() => left.ready(), ProtocolError, "it neither asks for a proof nor gives one");
  await theirs;
  await left.close();
  await right.close();
});

Deno.test("a BIOS is refused as well: it cannot prove anything", async () => {
  const { conn, raw } = victim();
  await raw.write("~across1 deno 2.9.6~");
  await assertRejects(() => conn.ready(), ProtocolError, "it neither asks for a proof nor gives one");
  await conn.close();
  await raw.close();
});

Deno.test("before the proof nothing leaves but 48 bytes: version, part and nonce", async () => {
  for (const side of [SIDE.either, SIDE.dials, SIDE.listens]) {
    const it = guarded(side);
    const seen = await it.raw.read(48);
    assertEquals(seen.subarray(0, 16), challenge(side).subarray(0, 16));
    await it.raw.write(challenge(side === SIDE.dials ? LISTENS : DIALS));
    if (side === SIDE.dials) await it.raw.read(32); // who dialled answers first
    await it.raw.write(new Uint8Array(32));
    assertEquals((await it.raw.rest()).length, 0);
    await assertRefused(it, "it does not know the secret");
  }
});

Deno.test("nonces are never used twice", async () => {
  const seen = new Set<string>();
  for (let i = 0; i < 20; i++) {
    const { conn, raw } = victim();
    seen.add((await raw.read(48)).join());
    conn.cancel();
    await conn.close();
    await raw.close();
  }
  assertEquals(seen.size, 20);
});

Deno.test("a recorded proof that is replayed is refused", async () => {
  const first = guarded(SIDE.listens);
  const mine = challenge(DIALS);
  const theirs = await first.raw.read(48);
  const recorded = bytes(mine, answer(SECRET, DIALS, mine, theirs));
  await first.raw.write(recorded);
  assertEquals(await first.raw.read(32), answer(SECRET, LISTENS, mine, theirs));
  assertEquals(await first.raw.read(21), bytes("nothing for strangers"));
  await first.raw.close();

  const second = guarded(SIDE.listens);
  await second.raw.write(recorded);
  await assertRefused(second, "it does not know the secret");
});

Deno.test("a challenge that is reflected is refused", async () => {
  for (const side of [SIDE.either, SIDE.dials, SIDE.listens]) {
    const it = guarded(side);
    const theirs = await it.raw.read(48);
    // With another part, too, as the peer would notice an equal one anyway.
    const swapped = theirs.slice();
    swapped[12] = side === SIDE.dials ? LISTENS : DIALS;
    await it.raw.write(swapped);
    await assertRefused(it, "it sent our challenge back");
  }
});

Deno.test("an answer that is reflected is refused", async () => {
  const it = guarded(SIDE.dials);
  await it.raw.write(challenge(LISTENS));
  await it.raw.read(48);
  await it.raw.write(await it.raw.read(32));
  await assertRefused(it, "it does not know the secret");
});

Deno.test("two connections to one that listens cannot be made to answer each other", async () => {
  const [one, other] = [guarded(SIDE.listens), guarded(SIDE.listens)];
  const [first, second] = [await one.raw.read(48), await other.raw.read(48)];
  // As it is that side plays the same part; changed, it waits for an answer of the other one, which that does not give.
  await one.raw.write(second);
  await assertRefused(one, "both sides wait for one that dials");
  first[12] = DIALS;
  await other.raw.write(first);
  await other.raw.end();
  assertEquals((await other.raw.rest()).length, 0);
  await assertRefused(other, "it left before the proof was complete");
});

Deno.test("a proof that is truncated anywhere is refused", async () => {
  for (let size = 0; size < 80; size++) {
    const it = guarded(SIDE.listens);
    const mine = challenge(DIALS);
    const theirs = await it.raw.read(48);
    await it.raw.write(bytes(mine, answer(SECRET, DIALS, mine, theirs)).subarray(0, size));
    await it.raw.end();
    assertEquals((await it.raw.rest()).length, 0, `after ${size} bytes`);
    await assertRefused(it, "it left before the proof was complete");
  }
});

Deno.test("an answer with any one bit wrong is refused", async () => {
  for (let bit = 0; bit < 256; bit += 3) {
    const it = guarded(SIDE.listens);
    const mine = challenge(DIALS);
    const right = answer(SECRET, DIALS, mine, await it.raw.read(48));
    right[bit >> 3]! ^= 1 << (bit & 7);
    await it.raw.write(mine, right);
    await assertRefused(it, "it does not know the secret");
  }
});

Deno.test("an answer of the other part, or to swapped challenges, is refused", async () => {
  for (const swap of [false, true]) {
    const it = guarded(SIDE.listens);
    const mine = challenge(DIALS);
    const theirs = await it.raw.read(48);
    await it.raw.write(mine, swap ? answer(SECRET, DIALS, theirs, mine) : answer(SECRET, LISTENS, mine, theirs));
    await assertRefused(it, "it does not know the secret");
  }
});

Deno.test("a peer that plays our own part is refused", async () => {
  for (const side of [SIDE.dials, SIDE.listens]) {
    const it = guarded(side);
    await it.raw.write(challenge(side));
    await assertRefused(it, side === SIDE.dials ? "both sides dialled" : "both sides wait");
  }
});

Deno.test("whoever listens answers only to those that answered before", async () => {
  const it = guarded(SIDE.listens);
  await it.raw.read(48);
  await it.raw.write(challenge(DIALS));
  // What would be an answer to try passwords on does not come.
  await it.raw.write(SUPERBLOCK, SUPERBLOCK);
  assertEquals((await it.raw.rest()).length, 0);
  await assertRefused(it, "it does not know the secret");
});

Deno.test("another version is refused with both names, before anything is proved", async () => {
  const it = guarded(SIDE.listens);
  await it.raw.read(48);
  await it.raw.write(challenge(DIALS, undefined, [7, 11]));
  await assertRefused(it, "Cannot speak with across 7.11 as this is across ");
});

Deno.test("calls that are sent without a proof, or behind a wrong one, are not run", async () => {
  const log: string[] = [];
  Object.assign(globalThis, { trustLog: log });
  try {
    // What a peer sends that need not prove anything.
    const [there, back] = pipes();
    const heard: Uint8Array[] = [];
    const tap = new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        heard.push(chunk.slice());
        controller.enqueue(chunk);
      },
    });
    const open = Connection.fromPipes(back.readable, there.writable);
    const server = Connection.fromPipes(there.readable.pipeThrough(tap), back.writable);
    await open.execute("trustLog.push('run'); 1");
    await open.close();
    await server.close();
    assertEquals(log.splice(0), ["run"]);
    const session = bytes(...heard);
    const mine = challenge(DIALS);
    for (const before of [bytes(), mine, bytes(mine, new Uint8Array(32))]) {
      const { conn, raw } = victim();
      await raw.write(before, session);
      await assertRejects(() => conn.ready(), ProtocolError, "Cannot authenticate the peer");
      await conn.close();
      await raw.close();
    }
    assertEquals(log, []);
  } finally {
    delete (globalThis as { trustLog?: unknown }).trustLog;
  }
});

Deno.test("a peer that floods before its proof is cut off after a few bytes", async () => {
  const it = guarded(SIDE.listens);
  await it.raw.write(challenge(DIALS), new Uint8Array(100_000));
  await assertRefused(it, "it sent more than its proof");
  const patient = guarded(SIDE.dials); // may have to do with a banner
  await patient.raw.write(new Uint8Array(60_000));
  await patient.raw.write(new Uint8Array(200_000));
  await assertRefused(patient, "");
});

Deno.test("who dials skips a banner before the challenge, who listens does not", async () => {
  const it = guarded(SIDE.dials);
  const mine = challenge(LISTENS);
  await it.raw.write("Welcome to wonderland!\r\n", mine);
  const theirs = await it.raw.read(48);
  assertEquals(await it.raw.read(32), answer(SECRET, DIALS, theirs, mine));
  await it.raw.write(answer(SECRET, LISTENS, theirs, mine), "let through");
  await it.inbox.until(11);
  assertEquals(it.inbox.text(), "let through");
  await it.raw.close();
  const server = guarded(SIDE.listens);
  await server.raw.write("GET / HTTP/1.1\r\n");
  await assertRefused(server, "it sent no challenge");
});

Deno.test("a proof that trickles is given up after the timeout", async () => {
  const it = guarded(SIDE.listens, 100);
  let over = false;
  it.inbox.ended.then(() => over = true);
  const mine = challenge(DIALS);
  let sent = 0;
  // A byte now and then, and never the last one.
  await condition(async () => {
    if (sent < 47) await it.raw.write(mine.subarray(sent, ++sent));
    return over;
  }, "the trickling peer is dropped");
  const error = await it.inbox.ended;
  assert(error instanceof DOMException && error.name === "TimeoutError", `${error}`);
  await it.raw.close();
});

Deno.test("a peer that says nothing is given up after the timeout", async () => {
  const { conn, raw } = victim({ timeout: 50 });
  await assertRejects(() => conn.ready(), DOMException, "within 50 ms");
  await conn.close();
  await raw.close();
});

Deno.test("answers are compared in full, wherever they differ", () => {
  const size = 32;
  for (let at = -1; at < size; at++) {
    const read = { left: 0, right: 0 };
    const counted = (which: "left" | "right", list: Uint8Array) =>
      new Proxy(list, {
        get(target, key) {
          if (typeof key === "string" && /^\d+$/.test(key)) read[which]++;
          return Reflect.get(target, key, target);
        },
      });
    const right = new Uint8Array(size);
    if (at >= 0) right[at] = 1;
    assertEquals(equalBytes(counted("left", new Uint8Array(size)), counted("right", right)), at < 0);
    assertEquals(read, { left: size, right: size }, `difference at ${at}`);
  }
  assert(!equalBytes(new Uint8Array(32), new Uint8Array(31)));
  assert(!equalBytes(new Uint8Array(0), new Uint8Array(1)));
});
