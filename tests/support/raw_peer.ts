/**
 * A peer that speaks the protocol by hand, and may say what no end of across would. The end that is tested is a {@linkcode Connection} at the
 * other side of pipes in memory. What messages look like is in `raw_messages.ts`, what is said in the tests.
 *
 * @module
 */

import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import type { OptionsInit } from "../../mod.ts";
import { Connection, DisconnectError, OperationError, ProtocolError } from "../../mod.ts";
import { Decoder } from "../../protocol/decoder.ts";
import { Inbox } from "../../protocol/frames.ts";
import { ACTION, MESSAGE, REFERENCE, WANT } from "../../protocol/messages.ts";
import { Reader } from "../../protocol/reader.ts";
import { superblock } from "../../protocol/superblock.ts";
import { assertRejects } from "./assert_rejects.ts";
import { condition, inTime } from "./leaks.ts";
import { pipes } from "./pair.ts";
import { changed, state } from "./pollution.ts";
import type { RawCall, Write } from "./raw_messages.ts";
import { base, HELLO, messageFrame, writeCall, writeValue } from "./raw_messages.ts";

/** A reference as it arrived. */
export interface Got {
  readonly kind: number;
  /** Its handle, or the number of a definition. */
  readonly number: number;
}

/** A message that arrived. */
export interface Message {
  readonly kind: number;
  /** Number of the call, definition or request, where it has one. */
  readonly number: number;
  /** The value of a RESULT, FAILURE or MODULES, the text of a DEFINE. */
  readonly value: unknown;
  readonly bytes: Uint8Array;
}

/** What a test exposes, so that it can be seen that a connection lives, and something to attack. */
export interface Exposed {
  ping(value: unknown): unknown;
}

/** The peer. */
export class RawPeer {
  /** The end that is tested. */
  readonly connection: Connection;
  /** All that arrived. */
  readonly received: Message[] = [];
  /** Whether its stream ended. */
  ended = false;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #reader = new Reader();
  readonly #decoder: Decoder = new Decoder({
    classById: () => {
      throw new OperationError("Classes are not looked up here");
    },
    external: (reader): Got => {
      const kind = reader.u8(), number = reader.varint();
      if (kind >= REFERENCE.MINE && kind <= REFERENCE.PROMISE) reader.string();
      return { kind, number };
    },
  });
  #last = 0;

  constructor(options: OptionsInit) {
    const [there, back] = pipes();
    this.connection = Connection.fromPipes(there.readable, back.writable, options);
    this.#writer = there.writable.getWriter();
    this.#writer.closed.catch(() => {});
    this.#read(back.readable).catch(() => {}).finally(() => this.ended = true);
  }

  async #read(readable: ReadableStream<Uint8Array>): Promise<void> {
    let skip = superblock().length;
    const inbox = new Inbox((bytes, start, end, segments) => this.#take(bytes, start, end, segments), 2 ** 30);
    for await (const chunk of readable) {
      inbox.push(chunk.subarray(skip));
      skip = Math.max(0, skip - chunk.length);
    }
  }

  #take(bytes: Uint8Array, start: number, end: number, segments: readonly ArrayBuffer[]): void {
    const reader = this.#reader;
    reader.reset(bytes, start, end);
    const kind = reader.u8();
    this.#decoder.begin(segments);
    const numbered = kind >= MESSAGE.DEFINE && kind <= MESSAGE.BLOB && kind !== MESSAGE.RELEASE;
    const number = numbered ? reader.varint() : 0;
    let value: unknown;
    if (kind === MESSAGE.DEFINE) value = reader.u8() && reader.string();
    if (kind === MESSAGE.FETCH) value = reader.string();
    if ([MESSAGE.RESULT, MESSAGE.FAILURE, MESSAGE.MODULES, MESSAGE.BLOB].includes(kind as 5)) {
      try {
        value = this.#decoder.value(reader);
      } catch (error) {
        value = error;
      }
    }
    this.received.push({ kind, number, value, bytes: bytes.slice(start, end) });
  }

  /** Sends bytes as they are. */
  async send(bytes: Uint8Array): Promise<void> {
    await this.#writer.write(bytes);
  }

  /** Sends a message in one frame. */
  message(kind: number, write: Write = () => {}): Promise<void> {
    return this.send(messageFrame(kind, write));
  }

  /** Sends a DEFINE. */
  define(number: number, kind: number, text: string): Promise<void> {
    return this.message(MESSAGE.DEFINE, (w) => {
      w.varint(number);
      w.u8(kind);
      w.string(text);
    });
  }

  /** Sends a FETCH and gives what comes in a MODULES message: bytes or an error. */
  async fetched(request: number, url: string): Promise<unknown> {
    await this.message(MESSAGE.FETCH, (w) => {
      w.varint(request);
      w.string(url);
    });
    const { value } = await this.got(({ kind, number }) => kind === MESSAGE.MODULES && number === request, "modules");
    return value;
  }

  /** Sends superblock and hello, and waits until the other side is ready. */
  async greet(hello: object = {}): Promise<void> {
    await this.send(superblock());
    await this.message(MESSAGE.HELLO, (w) => writeValue(w, { ...HELLO, ...hello }));
    await this.connection.ready();
  }

  /** Waits for a message that fits. */
  async got(test: (message: Message) => boolean, what: string): Promise<Message> {
    return await condition(() => this.received.find(test), what);
  }

  /** The number of a call that was not used yet. */
  nextId(): number {
    return ++this.#last;
  }

  /** Sends a CALL. Returns its number. */
  async issue({ id = this.nextId(), ...call }: RawCall): Promise<number> {
    await this.message(MESSAGE.CALL, (w) => writeCall(w, { ...call, id }));
    return id;
  }

  /** Waits for the answer to a call of ours. */
  answer(id: number): Promise<Message> {
    return this.got(
      ({ kind, number }) => (kind === MESSAGE.RESULT || kind === MESSAGE.FAILURE) && number === id,
      `call ${id} is answered`,
    );
  }

  /** Sends a CALL and gives its result. */
  async result(call: RawCall): Promise<unknown> {
    const { kind, value } = await this.answer(await this.issue(call));
    if (kind !== MESSAGE.RESULT) throw new Error("The call failed", { cause: value });
    return value;
  }

  /** Sends a CALL, which must fail. Gives the error. */
  async failure(call: RawCall): Promise<Error> {
    const { kind, value } = await this.answer(await this.issue(call));
    assertEquals(kind, MESSAGE.FAILURE, "The call did not fail");
    assertInstanceOf(value, Error);
    return value;
  }

  /** Gives an object of the other side: what a path from the root leads to. */
  async handle(...path: string[]): Promise<number> {
    const got = await this.result({ base: base.root, path, action: ACTION.GET, flags: WANT.REFERENCE }) as Got;
    assert(got.kind === REFERENCE.MINE || got.kind === REFERENCE.FUNCTION || got.kind === REFERENCE.PROMISE);
    return got.number;
  }

  /** Waits for the next CALL of the other side that `after` did not know yet. */
  async called(after: number): Promise<Message> {
    return await condition(
      () => this.received.filter(({ kind }) => kind === MESSAGE.CALL)[after],
      `${after + 1} calls arrived`,
    );
  }

  /** How many CALLs arrived. */
  get calls(): number {
    return this.received.filter(({ kind }) => kind === MESSAGE.CALL).length;
  }

  /** Has the other side issue a call, and answers it with what `answer` sends. */
  answered(answer: (id: number) => Promise<unknown>): Promise<unknown> {
    const before = this.calls;
    const result = this.connection.root<Exposed>().ping(1) as Promise<unknown>;
    const outcome = result.then((value) => value);
    outcome.catch(() => {});
    return this.called(before).then(({ number }) => answer(number)).then(() => outcome);
  }

  /** Sends a RESULT or FAILURE. */
  reply(id: number, value: unknown, kind: number = MESSAGE.RESULT): Promise<void> {
    return this.message(kind, (w) => {
      w.varint(id);
      if (typeof value === "function") value(w);
      else writeValue(w, value);
    });
  }

  /** Checks that the connection does what it should in both directions. */
  async lives(): Promise<void> {
    assertEquals(await this.result({ base: base.root, path: ["ping"], args: ["pong"] }), "pong");
    assertEquals(await this.answered((id) => this.reply(id, "yes")), "yes");
  }

  /**
   * Checks that what is said ends the connection with a `ProtocolError`, of which everybody who waits hears.
   *
   * @param say Says it.
   * @param message What the error says.
   */
  async breaks(say: () => Promise<unknown>, message: string): Promise<void> {
    const { connection } = this;
    const { calls } = this;
    const waiting = connection.root<Exposed>().ping(1) as Promise<unknown>;
    const told = assertRejects(
      async () => await waiting,
      DisconnectError,
      "Connection was aborted due to ProtocolError: ",
    );
    const before = connection.wait();
    await this.called(calls);
    // Once it has ended, nothing can be written to it.
    await say().catch(() => {});
    await condition(() => !connection.isConnected(), "the connection ends");
    await told;
    await before;
    const { callsInFlight, callsRunning, referencesHeld, referencesGiven, resultsHeld } = connection.status();
    assertEquals([callsInFlight, callsRunning, referencesHeld, referencesGiven, resultsHeld], [0, 0, 0, 0, 0]);
    await assertRejects(() => connection.close(), ProtocolError, message);
    await condition(() => this.ended, "the stream ends");
    await connection.close();
  }

  /** Ends our direction. */
  async end(): Promise<void> {
    await this.#writer.close().catch(() => {});
  }
}

/**
 * Gives a test a peer that has greeted, and checks afterwards that no prototype and no global changed. What `expose` of the options names gets
 * a method `ping`.
 *
 * @param options Of the end that is tested.
 * @param body The test.
 * @returns the test, with a deadline
 */
export function withPeer(options: OptionsInit, body: (peer: RawPeer) => Promise<void>): () => Promise<void> {
  return () =>
    inTime((async () => {
      const before = state();
      const expose = Object.assign(options.expose ?? {}, { ping: (value: unknown) => value });
      const peer = new RawPeer({ ...options, expose });
      try {
        await peer.greet();
        await body(peer);
        assertEquals(changed(before), []);
      } finally {
        peer.connection.cancel();
        await peer.end();
        await peer.connection.close().catch(() => {});
        await condition(() => peer.ended, "the stream ends");
      }
    })());
}

/** Options of the two kinds of ends: one that serves, and one that dialled, which the peer may not start anything on. */
export const SERVING: OptionsInit = { acceptCalls: true };
/** See {@linkcode SERVING}. */
export const DIALLING: OptionsInit = { acceptCalls: false };
