/**
 * Handles, numbers of calls, definitions and blobs that a hostile peer makes up, and messages that come when they must not. Nothing of it reaches
 * somebody else's object, leaves anything behind, or keeps anybody waiting.
 *
 * @module
 */

import { assert, assertEquals, assertInstanceOf, assertStringIncludes } from "@std/assert";
import type { OptionsInit } from "../mod.ts";
import { ref } from "../mod.ts";
import { ACTION, DEFINITION, MESSAGE, REFERENCE, WANT } from "../protocol/messages.ts";
import { superblock } from "../protocol/superblock.ts";
import * as tag from "../protocol/tags.ts";
import { condition } from "./support/leaks.ts";
import type { Write } from "./support/raw_messages.ts";
import { base, HELLO, Raw, reference, writeCall, writeValue } from "./support/raw_messages.ts";
import { DIALLING, RawPeer, SERVING, withPeer } from "./support/raw_peer.ts";

const ping = { base: base.root, path: ["ping"] };
const HUGE = Number.MAX_SAFE_INTEGER;
const numbers = (...list: number[]): Write => (w) => list.forEach((number) => w.varint(number));

const withValue = (...list: number[]): Write => (w) => {
  numbers(...list)(w);
  writeValue(w, new Uint8Array(3));
};

const onBothEnds = (name: string, body: (peer: RawPeer) => Promise<void>): void => {
  for (const [kind, options] of [["serving", SERVING], ["dialling", DIALLING]] as [string, OptionsInit][]) {
    const expose = { object: ref({ a: 1 }), fail: () => Promise.reject(new Error("asked for")) };
    Deno.test(`${name} (${kind} end)`, () => withPeer({ ...options, expose }, body)());
  }
};
const breaks = (name: string, kind: number, write: Write, message: string): void =>
  onBothEnds(`${name} is a ProtocolError`, (peer) => peer.breaks(() => peer.message(kind, write), message));

onBothEnds("unknown, zero and huge handles are refused", async (peer) => {
  for (const handle of [0, 7, 2 ** 32, HUGE]) {
    for (
      const call of [{ base: base.handle(handle) }, { ...ping, args: [reference.yours(handle)] }, {
        ...ping,
        args: [reference.pending(base.handle(handle), ["a"])],
      }]
    ) {
      assertStringIncludes((await peer.failure(call)).message, `Cannot find object ${handle}`);
    }
  }
  await peer.lives();
});

onBothEnds("negative and fractional handles cannot be said: their bytes are a ProtocolError", async (peer) => {
  const negative: Write = (w) => {
    w.u8(tag.EXTERNAL);
    w.u8(REFERENCE.YOURS);
    w.raw(new Uint8Array(new BigInt64Array([-1n]).buffer)); // no varint of ours goes that far
    w.u8(255);
  };
  const args: Write = (w) => {
    w.u8(tag.SHORT_ARRAY + 1);
    negative(w);
  };
  await peer.breaks(() => peer.issue({ ...ping, args }), "malformed integer");
});

onBothEnds("a handle that was given back is refused, and giving it back twice is a ProtocolError", async (peer) => {
  const handle = await peer.handle("object");
  assertEquals(await peer.result({ base: base.handle(handle), path: ["a"], action: ACTION.GET }), 1);
  await peer.message(MESSAGE.RELEASE, numbers(1, handle, 1));
  const { message } = await peer.failure({ base: base.handle(handle) });
  assertStringIncludes(message, "no reference to it is held");
  assertEquals(peer.connection.status().referencesGiven, 0);
  await peer.breaks(() => peer.message(MESSAGE.RELEASE, numbers(1, handle, 1)), "Cannot release 1 references");
});

onBothEnds("references are counted: each that was given can be given back once", async (peer) => {
  const handles = [await peer.handle("object"), await peer.handle("object"), await peer.handle("object")];
  assertEquals(new Set(handles).size, 1);
  await peer.message(MESSAGE.RELEASE, numbers(1, handles[0]!, 2));
  assertEquals(await peer.result({ base: base.handle(handles[0]!), path: ["a"], action: ACTION.GET }), 1);
  await peer.breaks(() => peer.message(MESSAGE.RELEASE, numbers(1, handles[0]!, 2)), "Cannot release 2 references");
});

for (const count of [0, 2, 2 ** 32, HUGE]) {
  onBothEnds(`giving back ${count} of one reference is a ProtocolError`, async (peer) => {
    const handle = await peer.handle("object");
    await peer.breaks(() => peer.message(MESSAGE.RELEASE, numbers(1, handle, count)), `Cannot release ${count} `);
  });
}
breaks(
  "giving back what was never given",
  MESSAGE.RELEASE,
  numbers(1, 5, 1),
  "Cannot release 1 references of object 5",
);
breaks("a RELEASE that claims 2^50 entries", MESSAGE.RELEASE, numbers(2 ** 50), "ends too early");

onBothEnds("DROP of what is not held does nothing, a million times", async (peer) => {
  const list = Array.from({ length: 50_000 }, (_, i) => i);
  for (let i = 0; i < 20; i++) await peer.message(MESSAGE.DROP, numbers(list.length, ...list));
  await peer.lives();
});
breaks("a DROP that claims 2^50 entries", MESSAGE.DROP, numbers(2 ** 50), "ends too early");

onBothEnds("the result of a call that is not held, or never was, is refused", async (peer) => {
  const id = await peer.issue({ ...ping, flags: WANT.HOLD, args: [{ a: 1 }] });
  assertEquals(await peer.result({ base: base.result(id), path: ["a"], action: ACTION.GET }), 1);
  await peer.message(MESSAGE.DROP, numbers(1, id));
  for (const unknown of [id, 0, 9999, HUGE]) {
    const call = { base: base.result(unknown), path: ["a"] };
    assertStringIncludes((await peer.failure(call)).message, `Cannot find the result of call ${unknown}`);
  }
  // Not even its own.
  const own = peer.nextId();
  const { message } = await peer.failure({ ...ping, id: own, args: [reference.pending(base.result(own))] });
  assertStringIncludes(message, "Cannot find the result of call");
  assertEquals(peer.connection.status().resultsHeld, 0);
  await peer.lives();
});

onBothEnds(
  "a result that is dropped while its call runs is not held afterwards, also if the call fails",
  async (peer) => {
    for (const path of [["ping"], ["fail"]]) {
      const id = peer.nextId();
      // It waits for bytes, so that it runs for as long as we like.
      await peer.issue({ id, base: base.root, path, flags: WANT.VALUE | WANT.HOLD, args: [[reference.blob(id)]] });
      await condition(() => peer.connection.status().resultsHeld === 1, "the call runs");
      await peer.message(MESSAGE.DROP, numbers(1, id));
      await peer.message(MESSAGE.BLOB, (w) => {
        w.varint(id);
        writeValue(w, new ArrayBuffer(3));
      });
      await peer.answer(id);
      assertEquals(peer.connection.status().resultsHeld, 0);
    }
    await peer.lives();
  },
);

onBothEnds("the number of a call that runs or is held cannot be used again", async (peer) => {
  const id = await peer.issue({ ...ping, flags: WANT.HOLD, args: [1] });
  await peer.breaks(() => peer.issue({ ...ping, id }), `Cannot take call ${id} twice`);
});

for (const kind of [MESSAGE.RESULT, MESSAGE.FAILURE]) {
  for (const id of [0, 99, 2 ** 32, HUGE]) {
    onBothEnds(
      `an answer of kind ${kind} to call ${id}, which was never made, is a ProtocolError`,
      (peer) => peer.breaks(() => peer.reply(id, "x", kind), `Cannot find call ${id}`),
    );
  }
}

onBothEnds("further answers to a settled call are dropped, with what they refer to", async (peer) => {
  let id = 0;
  const result = await peer.answered((number) => peer.reply(id = number, "first"));
  assertEquals(result, "first");
  await peer.reply(id, ["second", reference.mine(REFERENCE.FUNCTION, 5)]);
  await peer.reply(id, new Error("third"), MESSAGE.FAILURE);
  await peer.reply(id, { then: reference.mine(REFERENCE.FUNCTION, 6) });
  await peer.lives();
});

onBothEnds("CANCEL of unknown and settled calls does nothing", async (peer) => {
  await peer.result(ping);
  for (const id of [0, 1, 2, HUGE]) await peer.message(MESSAGE.CANCEL, withValue(id));
  await peer.lives();
});

onBothEnds("signals that never end have a limit, and unknown ones are ignored", async (peer) => {
  for (const id of [0, 1, HUGE]) await peer.message(MESSAGE.SIGNAL, withValue(id));
  await peer.lives();
  const signal = (number: number) =>
    new Raw((w) => {
      w.tagged(REFERENCE.SIGNAL, number);
      w.u8(0);
    });
  await peer.breaks(async () => {
    for (let i = 0; i < 70; i++) {
      await peer.issue({ ...ping, args: [Array.from({ length: 1000 }, (_, j) => signal(1000 * i + j))] });
    }
  }, "Too many signals are open");
});

onBothEnds("a definition is given once", async (peer) => {
  await peer.define(1, DEFINITION.PUBLIC, "Math.max");
  await peer.breaks(() => peer.define(1, DEFINITION.PUBLIC, "Math.min"), "Cannot define 1 once more");
});
onBothEnds("definitions have a limit, beyond which they are a ProtocolError", (peer) =>
  peer.breaks(async () => {
    for (let i = 1; i <= (1 << 16) + 1; i++) await peer.define(i, DEFINITION.PUBLIC_CLASS, "across#OperationError");
  }, "Cannot define 65537 once more"));
onBothEnds("a definition of an unknown kind is refused where it is used", async (peer) => {
  await peer.breaks(async () => {
    await peer.define(1, 77, "x");
    await peer.issue({ base: base.defined(1) });
  }, "");
});
onBothEnds(
  "an unknown definition is a ProtocolError",
  (peer) => peer.breaks(() => peer.issue({ base: base.defined(HUGE) }), `Cannot find definition ${HUGE}`),
);

onBothEnds("bytes for an unknown blob do nothing", async (peer) => {
  for (const number of [0, 1, HUGE]) {
    await peer.message(MESSAGE.BLOB, (w) => {
      w.varint(number);
      writeValue(w, new ArrayBuffer(8));
    });
  }
  await peer.lives();
});

onBothEnds("a blob whose bytes are something else fails the one call", async (peer) => {
  const values: unknown[] = ["text", null, [1], new Error("unreadable"), {
    then: reference.mine(REFERENCE.FUNCTION, 1),
  }];
  for (const [i, value] of values.entries()) {
    const id = await peer.issue({ ...ping, args: [[reference.blob(i + 1)]] });
    await peer.message(MESSAGE.BLOB, (w) => {
      w.varint(i + 1);
      writeValue(w, value);
    });
    assertEquals((await peer.answer(id)).kind, MESSAGE.FAILURE);
  }
  await peer.lives();
});

onBothEnds(
  "two blobs of one number are a ProtocolError",
  (peer) =>
    peer.breaks(
      () => peer.issue({ ...ping, args: [[reference.blob(1), reference.blob(1)]] }),
      "Cannot wait for blob 1",
    ),
);

onBothEnds(
  "blobs that never come have a limit, and what waits for them ends with the connection",
  (peer) =>
    peer.breaks(async () => {
      for (let i = 0; i < 70; i++) {
        await peer.issue({ ...ping, args: [Array.from({ length: 1000 }, (_, j) => reference.blob(1000 * i + j))] });
      }
    }, "Cannot wait for blob 65536"),
);

breaks("MODULES unasked", MESSAGE.MODULES, withValue(0), "Modules arrived that were not announced or asked for");
breaks("MODULES for an unknown request", MESSAGE.MODULES, withValue(HUGE), "Modules arrived that were not announced");
breaks("ROOTS that claim 2^50 URLs", MESSAGE.ROOTS, numbers(0, 2 ** 50), "ends too early");
breaks("a second HELLO", MESSAGE.HELLO, (w) => writeValue(w, HELLO), "Cannot take a message of kind 1");
breaks("an empty message", 0, () => {}, "Cannot take a message of kind 0");
breaks("an unknown kind of message", 200, () => {}, "Cannot take a message of kind 200");

onBothEnds("announcements of sources that never follow have a limit", (peer) =>
  peer.breaks(async () => {
    const two = numbers(1, 0);
    for (let i = 0; i <= 100_000; i++) await peer.message(MESSAGE.ROOTS, two);
  }, "Too many modules were announced"));

onBothEnds(
  "a second superblock is a ProtocolError",
  (peer) => peer.breaks(() => peer.send(superblock()), "A frame has"),
);

onBothEnds("messages behind a GOODBYE are ignored, and the connection ends cleanly", async (peer) => {
  await peer.message(MESSAGE.GOODBYE);
  await peer.issue(ping);
  await peer.message(200).catch(() => {});
  await peer.got(({ kind }) => kind === MESSAGE.GOODBYE, "a goodbye");
  await peer.end();
  await peer.connection.wait();
  await peer.connection.close();
  assert(!peer.received.some(({ kind }) => kind === MESSAGE.RESULT));
});

Deno.test("a peer that says goodbye but never ends its stream is given the timeout", async () => {
  const peer = new RawPeer({ timeout: 2_000 });
  await peer.greet();
  await peer.message(MESSAGE.GOODBYE);
  await peer.connection.wait();
  assert(!peer.connection.isConnected());
  await peer.connection.close();
  await condition(() => peer.ended, "the stream ends");
  await peer.end();
});

/** What must happen when something else comes in the place of a hello. */
const opens = (name: string, say: (peer: RawPeer) => Promise<unknown>, message: string): void =>
  Deno.test(name, async () => {
    const peer = new RawPeer({});
    const ready = peer.connection.ready().then(() => "ready", (error: Error) => error);
    const call = (peer.connection.root<{ a: number }>().a as Promise<unknown>).catch((error: Error) => error);
    await say(peer).catch(() => {});
    const error = await ready;
    assertInstanceOf(error, Error);
    assertStringIncludes(error.message, message);
    assertStringIncludes((await call as Error).message, "Connection was aborted due to");
    await peer.connection.close();
    await condition(() => peer.ended, "the stream ends");
    await peer.end();
  });
const hello = (value: unknown) => async (peer: RawPeer) => {
  await peer.send(superblock());
  await peer.message(MESSAGE.HELLO, (w) => writeValue(w, value));
};

opens("a message before the hello is a ProtocolError", async (peer) => {
  await peer.send(superblock());
  await peer.message(MESSAGE.CALL, (w) => writeCall(w, ping));
}, "Cannot take a message of kind 4 before the hello");
for (
  const value of [null, 1, "x", [], {}, { ...HELLO, timeout: 0 }, { ...HELLO, timeout: NaN }, { ...HELLO, runtime: 1 }]
) {
  opens(
    `a hello of ${Deno.inspect(value).slice(0, 60).replaceAll("\n", "")} is a ProtocolError`,
    hello(value),
    "makes no",
  );
}
opens("a hello that is a thenable is refused", hello({ ...HELLO, then: reference.mine(2, 1) }), "function named then");
opens(
  "a hello that refers to something is refused",
  hello({ ...HELLO, pid: reference.yours(1) }),
  "Cannot find object 1",
);
opens("two greetings of a BIOS are a ProtocolError", async (peer) => {
  await peer.send(new TextEncoder().encode("~across1 deno 2.9.6~~across1 deno 2.9.6~"));
}, "The peer greeted twice");
opens("64 KiB that are no superblock are a ProtocolError", async (peer) => {
  for (let i = 0; i < 70; i++) await peer.send(new Uint8Array(1024).fill(32));
}, "Cannot find the peer's superblock");
opens("a superblock of another version is a ProtocolError", async (peer) => {
  await peer.send(superblock().fill(99, 8, 10));
}, "Cannot speak with across");

Deno.test("a hello with a timeout beyond what timers take does not make the connection spin", async () => {
  const peer = new RawPeer({ timeout: Infinity, expose: { ping: (value: unknown) => value } });
  await peer.greet({ timeout: 1e300 });
  const idle = () => peer.connection.status().bytesSent;
  await peer.lives();
  const before = idle();
  for (let i = 0; i < 50; i++) await new Promise((resolve) => setTimeout(resolve));
  assertEquals(idle(), before);
  peer.connection.cancel();
  await peer.end();
  await peer.connection.close();
  await condition(() => peer.ended, "the stream ends");
});
