// Wires over web streams: pipesWire() and transportWire().

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import type { Transport } from "../transports/web_streams.ts";
import { pipesWire, transportWire } from "../transports/web_streams.ts";
import type { Wire } from "../transports/wire.ts";
import { condition } from "./support/leaks.ts";
import { receive, send, sendMany } from "./support/wires.ts";

/** A pipe whose reading end fills buffers, as the pipes of children and sockets do. */
function bytePipe(): { readable: ReadableStream<Uint8Array>; writable: WritableStream<Uint8Array> } {
  let controller!: ReadableByteStreamController;
  let wanted = () => {};
  const readable = new ReadableStream<Uint8Array<ArrayBuffer>>({
    type: "bytes",
    start: (it) => void (controller = it as ReadableByteStreamController),
    pull: () => wanted(),
  }, { highWaterMark: 1 });
  const writable = new WritableStream<Uint8Array>({
    async write(chunk) {
      while (controller.desiredSize! <= 0) await new Promise<void>((resolve) => wanted = resolve);
      controller.enqueue(chunk.slice());
    },
    close() {
      controller.close();
      controller.byobRequest?.respond(0);
    },
    abort: (reason) => controller.error(reason),
  });
  return { readable, writable };
}

function wires(pipe: () => ReturnType<typeof bytePipe>): [Wire, Wire] {
  const there = pipe();
  const back = pipe();
  return [pipesWire(back.readable, there.writable), pipesWire(there.readable, back.writable)];
}

const PIPES = {
  "byte streams": bytePipe,
  "streams of chunks": () => new TransformStream<Uint8Array, Uint8Array>(),
  "streams that keep chunks for a while": () =>
    new TransformStream<Uint8Array, Uint8Array>({}, { highWaterMark: 16 }, { highWaterMark: 16 }),
};

for (const [kind, pipe] of Object.entries(PIPES)) {
  Deno.test(`pipesWire() carries single bytes, and 64 MiB both ways from one buffer (${kind})`, async () => {
    const [left, right] = wires(pipe);
    const [fromRight, fromLeft] = [receive(left), receive(right)];
    for (const letter of "across") await send(left, letter);
    await fromLeft.until(6);
    assertEquals(fromLeft.text(), "across");
    await left.end();
    assertEquals(await fromLeft.ended, undefined);

    const [more, other] = wires(pipe);
    const [there, back] = [receive(other), receive(more)];
    const size = 64 << 20;
    const sums = await Promise.all([sendMany(more, size), sendMany(other, size, 100_000)]);
    await Promise.all([more.end(), other.end(), there.until(size), back.until(size)]);
    assertEquals([there.sum(), back.sum()], sums);
    assertEquals(await Promise.all([more.closed, other.closed]), [undefined, undefined]);

    await send(right, "after the half-close");
    await fromRight.until(20);
    await right.end();
    await Promise.all([left.closed, right.closed]);
  });

  Deno.test(`abort() of a wire over pipes ends reads and writes that are under way (${kind})`, async () => {
    const [left, right] = wires(pipe);
    const inbox = receive(left);
    // Nobody reads on the other side, so that writing has to wait at some point.
    let written = 0;
    (async () => {
      for (;; written++) await left.write(new Uint8Array(65536));
    })().catch(() => {});
    let seen = -1;
    await condition(() => seen === written || void (seen = written), "a write has to wait");
    const reason = new Error("enough");
    left.abort(reason);
    left.abort(new Error("not this one"));
    assertEquals(await inbox.ended, reason);
    assertEquals(await left.closed, undefined);
    assert(!inbox.late);
    right.abort();
    assertEquals(await receive(right).ended, undefined);
    await right.closed;
    assert(written < 100, `${written} writes were taken`);
  });
}

Deno.test("a wire over pipes ends with the error that breaks its stream, and delivers what came before", async () => {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const wire = pipesWire(readable, new WritableStream());
  const inbox = receive(wire);
  const writer = writable.getWriter();
  await writer.write(new TextEncoder().encode("so far"));
  await inbox.until(6);
  const error = new Error("cut");
  writer.abort(error);
  assertEquals(await inbox.ended, error);
  await wire.end();
  await wire.closed;
});

Deno.test("write() of a wire over pipes rejects with the error of its stream", async () => {
  const error = new Error("full");
  const wire = pipesWire(
    new ReadableStream(),
    new WritableStream({ write: () => Promise.reject(error) }),
  );
  assertEquals(await assertRejects(async () => await wire.write(new Uint8Array(1))), error);
  wire.abort();
  await wire.closed;
});

Deno.test("pipesWire() refuses streams that are in use", () => {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  readable.getReader();
  assertThrows(() => pipesWire(readable, writable), TypeError, "lock");
});

Deno.test("aborting a wire over pipes that was never started frees both streams", async () => {
  let cancelled: unknown;
  let aborted: unknown;
  const wire = pipesWire(
    new ReadableStream({ cancel: (reason) => void (cancelled = reason) }),
    new WritableStream({ abort: (reason) => void (aborted = reason) }),
  );
  wire.abort("unwanted");
  await wire.closed;
  assertEquals([cancelled, aborted], ["unwanted", "unwanted"]);
  assertEquals(await receive(wire).ended, "unwanted");
});

interface TestTransport extends Transport {
  finish: (error?: unknown) => void;
  readonly aborted: unknown[];
}

function transport(): TestTransport {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  let finish!: (error?: unknown) => void;
  const aborted: unknown[] = [];
  const closed = new Promise<void>((resolve, reject) => finish = (error) => error ? reject(error) : resolve());
  return { readable, writable, closed, finish, aborted, abort: (reason) => void aborted.push(reason) };
}

Deno.test("a wire over a transport is closed when the transport is", async () => {
  const own = transport();
  const wire = transportWire(own);
  const inbox = receive(wire);
  await send(wire, "echo");
  await inbox.until(4);
  await wire.end();
  assertEquals(await inbox.ended, undefined);
  let closed = false;
  const closing = wire.closed.then(() => closed = true);
  await Promise.resolve();
  assert(!closed);
  own.finish();
  await closing;
});

Deno.test("a wire over a transport ends with what broke the transport", async () => {
  const own = transport();
  const wire = transportWire(own);
  const inbox = receive(wire);
  const error = new Error("unplugged");
  own.finish(error);
  assertEquals(await inbox.ended, error);
  await wire.closed;
});

Deno.test("abort() of a wire over a transport aborts the transport with the reason", async () => {
  const own = transport();
  const wire = transportWire(own);
  const inbox = receive(wire);
  const reason = new Error("enough");
  wire.abort(reason);
  assertEquals(await inbox.ended, reason);
  assertEquals(own.aborted, [reason]);
  own.finish();
  await wire.closed;
});
