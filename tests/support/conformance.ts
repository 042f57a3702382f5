/**
 * What every transport must do, as one list of scenarios. They run in any runtime: under `Deno.test` and `node:test`. The transports that they are
 * run on are in `conformance_kinds.ts` (made with `node:` modules, for all runtimes) and `conformance_deno.ts`.
 *
 * @module
 */

import assert from "node:assert/strict";
import { readdirSync, readlinkSync } from "node:fs";
import { Connection, DisconnectError } from "../../mod.ts";
import type { OptionsInit } from "../../mod.ts";
import type { Wire } from "../../transports/wire.ts";
import { receive, send, sendMany } from "./wires.ts";

/** One end of a transport, to be used once, either way. */
export interface End {
  /** As bytes. */
  wire(): Wire;
  /** As users do it. */
  connection(options: OptionsInit): Connection;
}

/** The end that was dialled. */
export interface Accepted extends End {
  /** Ends as if the machine had been switched off, as far as that can be done here. */
  vanish(): void;
}

/** Where one can dial to. */
export interface Listening {
  /** Begins to connect. */
  dial(): End;
  /** The end that belongs to what was dialled last. */
  accept(): Promise<Accepted>;
  /** Dials something that never says anything. */
  silent(): End;
  /** Frees everything. */
  close(): Promise<void>;
}

/** A transport under test. */
export interface Kind {
  /** For names of tests. */
  readonly name: string;
  /** Starts to listen. */
  listen(): Promise<Listening>;
  /** How long it takes to connect at most, in milliseconds. */
  readonly timeout?: number;
  /** Dials what is not there, and what the error says. Absent where a transport is there from the start. */
  readonly missing?: { readonly dial: () => End; readonly reason: RegExp };
}

/** A scenario. */
export interface Scenario {
  readonly name: string;
  run(kind: Kind, listening: Listening): Promise<void>;
}

/** Waits until something is so. */
export async function until(what: string, test: () => boolean, deadline = 60_000): Promise<void> {
  const end = performance.now() + deadline;
  for (let pause = 1; !test(); pause = Math.min(2 * pause, 50)) {
    if (performance.now() > end) throw new Error(`Not so within ${deadline} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

/** A promise of the platform: node:assert takes no other, and a result of across is a chain, which is callable. */
async function settled<T>(result: PromiseLike<T>): Promise<T> {
  return await result;
}

/** Connects both ends. */
async function connected(listening: Listening, options: OptionsInit = {}): Promise<[Connection, Connection, Accepted]> {
  const conn = listening.dial().connection(options);
  const accepted = await listening.accept();
  const peer = accepted.connection({ acceptCalls: true });
  await Promise.all([conn.ready(), peer.ready()]);
  return [conn, peer, accepted];
}

/** Connects to a peer that can be cut off: from then on bytes are lost on their way, in both directions, and nobody is told. */
async function gated(
  listening: Listening,
  options: OptionsInit,
): Promise<[Connection, cut: () => void, free: () => Promise<void>]> {
  const conn = listening.dial().connection(options);
  const wire = (await listening.accept()).wire();
  let open = true;
  let input!: ReadableStreamDefaultController<Uint8Array>;
  const readable = new ReadableStream<Uint8Array>({ start: (it) => void (input = it) });
  wire.start({
    data: (chunk) => open ? input.enqueue(chunk.slice()) : undefined,
    end: () => open ? input.close() : undefined,
  });
  const writable = new WritableStream<Uint8Array>({
    async write(chunk) {
      if (open) await wire.write(chunk);
    },
  });
  const peer = Connection.fromPipes(readable, writable);
  await Promise.all([conn.ready(), peer.ready()]);
  return [conn, () => open = false, async () => {
    peer.cancel();
    wire.abort();
    await Promise.all([peer.close(), wire.closed]);
  }];
}

const LARGE = 64 << 20;

/** All scenarios. */
export const SCENARIOS: readonly Scenario[] = [
  {
    name: "connects, calls both ways, and closes gracefully",
    async run(_, listening): Promise<void> {
      const conn = listening.dial().connection({ acceptCalls: true });
      const early = conn.call((a: number, b: number) => a + b, 40, 2);
      const peer = (await listening.accept()).connection({ acceptCalls: true });
      assert.equal(await early, 42);
      assert.equal(await peer.call((text: string) => text.length, "across"), 6);
      const open = settled(peer.call(() => new Promise<void>(() => {})));
      const rejected = assert.rejects(open, (error: Error) => {
        return error instanceof DisconnectError && error.message === "Connection was remotely closed";
      });
      await conn.close();
      await rejected;
      await peer.wait();
      await peer.close();
      assert.equal(conn.isConnected(), false);
    },
  },
  {
    name: "carries single bytes in both directions, in order",
    async run(_, listening): Promise<void> {
      const wire = listening.dial().wire();
      const inbox = receive(wire);
      // The first byte may be needed to be heard of at all.
      const first = send(wire, "A");
      const other = (await listening.accept()).wire();
      const otherInbox = receive(other);
      await first;
      for (const letter of "cross") await send(wire, letter);
      for (const letter of "back") await send(other, letter);
      await Promise.all([otherInbox.until(6), inbox.until(4)]);
      assert.deepEqual([otherInbox.text(), inbox.text()], ["Across", "back"]);
      await Promise.all([wire.end(), other.end()]);
      assert.deepEqual(await Promise.all([inbox.ended, otherInbox.ended]), [undefined, undefined]);
      await Promise.all([wire.closed, other.closed]);
      assert.deepEqual([inbox.late, otherInbox.late], [false, false]);
    },
  },
  {
    name: "carries 64 MiB in both directions at once, out of buffers that are used again",
    async run(_, listening): Promise<void> {
      const wire = listening.dial().wire();
      const back = receive(wire);
      const sending = sendMany(wire, LARGE);
      const other = (await listening.accept()).wire();
      const there = receive(other);
      const sums = await Promise.all([sending, sendMany(other, LARGE, 100_000)]);
      await Promise.all([wire.end(), other.end(), there.until(LARGE), back.until(LARGE)]);
      assert.deepEqual([there.sum(), back.sum()], sums);
      await Promise.all([wire.closed, other.closed]);
    },
  },
  {
    name: "goes on in one direction when the other has ended",
    async run(_, listening): Promise<void> {
      const wire = listening.dial().wire();
      const inbox = receive(wire);
      const first = send(wire, "question");
      const other = (await listening.accept()).wire();
      const otherInbox = receive(other);
      await first;
      await wire.end();
      assert.equal(await otherInbox.ended, undefined);
      assert.equal(otherInbox.text(), "question");
      const sum = await sendMany(other, 1 << 20, 10_000);
      await other.end();
      assert.equal(await inbox.ended, undefined);
      assert.equal(inbox.sum(), sum);
      await Promise.all([wire.closed, other.closed]);
    },
  },
  {
    name: "says why it cannot connect",
    async run({ missing }): Promise<void> {
      if (!missing) return;
      const conn = missing.dial().connection({});
      await assert.rejects(conn.ready(), missing.reason);
      await conn.close();
      const late = missing.dial().connection({});
      await assert.rejects(settled(late.call(() => 1)), missing.reason);
      await late.close().catch((error) => assert.match(String(error), missing.reason));
    },
  },
  {
    name: "can be cancelled while it connects",
    async run(_, listening): Promise<void> {
      for (const soon of [true, false]) {
        const conn = listening.silent().connection({});
        const ready = assert.rejects(conn.ready(), /^DisconnectError: Connection was cancelled$/);
        if (!soon) await new Promise((resolve) => setTimeout(resolve, 20));
        conn.cancel();
        await ready;
        await conn.close();
      }
    },
  },
  {
    name: "gives up after the timeout when nobody answers",
    async run(_, listening): Promise<void> {
      const conn = listening.silent().connection({ timeout: 100 });
      await assert.rejects(conn.ready(), /^TimeoutError: The peer did not answer within 100 ms$/);
      await conn.close();
    },
  },
  {
    name: "can be cancelled while it sends",
    async run(_, listening): Promise<void> {
      const [conn, peer] = await connected(listening);
      const call = settled(conn.call((bytes: Uint8Array) => bytes.length, new Uint8Array(LARGE)));
      const rejected = assert.rejects(call, /^DisconnectError: Connection was cancelled$/);
      await until("some of it has left", () => conn.status().bytesSent > 100_000);
      conn.cancel();
      await rejected;
      await conn.close();
      await peer.wait();
      await assert.rejects(peer.close());
    },
  },
  {
    name: "can be cancelled while it receives",
    async run(_, listening): Promise<void> {
      const [conn, peer] = await connected(listening);
      const call = settled(conn.call((size: number) => new Uint8Array(size), LARGE));
      const rejected = assert.rejects(call, /^DisconnectError: Connection was cancelled$/);
      await until("some of it has arrived", () => conn.status().bytesReceived > 100_000);
      conn.cancel();
      await rejected;
      await conn.close();
      await peer.wait();
      await assert.rejects(peer.close());
    },
  },
  {
    name: "can be cancelled while it closes",
    async run(_, listening): Promise<void> {
      const [conn, cut, free] = await gated(listening, {});
      cut();
      const closing = conn.close();
      conn.cancel();
      await closing;
      await conn.close();
      await free();
    },
  },
  {
    name: "finds out within the timeout that the peer has fallen silent",
    async run({ timeout = 1_000 }, listening): Promise<void> {
      const [conn, cut, free] = await gated(listening, { timeout });
      const call = settled(conn.call(() => new Promise<void>(() => {})));
      const rejected = assert.rejects(call, /aborted due to TimeoutError: The peer was silent for \d+ ms/);
      cut();
      await rejected;
      await conn.close().catch((error) => assert.match(String(error), /TimeoutError/));
      await free();
    },
  },
  {
    name: "finds out that the peer has vanished",
    async run(_, listening): Promise<void> {
      const [conn, peer, accepted] = await connected(listening);
      const call = settled(conn.call(() => new Promise<void>(() => {})));
      const rejected = assert.rejects(call, (error: Error) => {
        return error instanceof DisconnectError && error.message.startsWith("Connection was aborted due to ");
      });
      await until("the call runs", () => peer.status().callsRunning === 1);
      accepted.vanish();
      await rejected;
      await assert.rejects(conn.close());
      await conn.close();
      await peer.wait();
      await peer.close().catch(() => {}); // it may see its own end of it
    },
  },
];

/** Open sockets and pipes of this process; nothing where one cannot tell. */
function descriptors(): number {
  try {
    return readdirSync("/proc/self/fd").filter((fd) => {
      try {
        return /^(?:socket|pipe):/.test(readlinkSync(`/proc/self/fd/${fd}`));
      } catch {
        return false; // the one that the listing used
      }
    }).length;
  } catch {
    return 0;
  }
}

async function run(kind: Kind, scenario: Scenario): Promise<void> {
  const listening = await kind.listen();
  try {
    await scenario.run(kind, listening);
  } finally {
    await listening.close();
  }
}

/**
 * Runs one scenario, after which no more descriptors may be left than after the simplest of all, which runs before: it opens what the runtime keeps.
 *
 * @param kind The transport.
 * @param scenario The scenario.
 */
export async function conforms(kind: Kind, scenario: Scenario): Promise<void> {
  await run(kind, SCENARIOS[0]!);
  const baseline = descriptors();
  await run(kind, scenario);
  await until("all descriptors are closed", () => descriptors() <= baseline);
}
