/**
 * How connections open and end, in this process.
 *
 * @module
 */

import { assertEquals, assertThrows } from "@std/assert";
import { Connection, DisconnectError, Options } from "../mod.ts";
import { assertRejects } from "./support/assert_rejects.ts";
import { inTime } from "./support/leaks.ts";
import { baseline, pair, pipes } from "./support/pair.ts";

Deno.test("operations that are issued before the handshake wait for it", async () => {
  const [there, back] = pipes();
  const left = Connection.fromPipes(back.readable, there.writable);
  const asked = (() => Promise.all([left.call((n: number) => n + 1, 1), left.callRef(() => ({ a: { b: 2 } })).a.b]))();
  const right = Connection.fromPipes(there.readable, back.writable);
  assertEquals(await asked, [2, 2]);
  await baseline(left, right);
  await left.close();
  await right.close();
});

Deno.test("close() rejects local calls at once, and the peer's end is clean", async () => {
  const { left, right } = await pair();
  const open = left.call(() => new Promise<void>(() => {}));
  const rejected = assertRejects(async () => await open, DisconnectError, "Connection is closed");
  await left.call(() => 0); // the other one runs by now
  await left.close();
  await rejected;
  await right.wait();
  await right.close();
  assertEquals([left.isConnected(), right.isConnected()], [false, false]);
  await assertRejects(async () => await left.call(() => 1), DisconnectError, "Connection is closed");
  await assertRejects(async () => await right.call(() => 1), DisconnectError, "Connection was remotely closed");
  await left.close();
});

Deno.test("close() on both sides at once is clean", async () => {
  const { left, right } = await pair();
  await Promise.all([left.close(), right.close(), left.close()]);
});

Deno.test("close() while connecting makes ready() reject", async () => {
  const [there, back] = pipes();
  const left = Connection.fromPipes(back.readable, there.writable);
  const ready = assertRejects(() => left.ready(), DisconnectError, "Connection is closed");
  await left.close();
  await ready;
  await there.readable.cancel().catch(() => {});
});

Deno.test("cancel() rejects everything at once, and the peer sees a failure", async () => {
  const { left, right } = await pair();
  const open = assertRejects(
    async () => await left.call(() => new Promise<void>(() => {})),
    DisconnectError,
    "Connection was cancelled",
  );
  const theirs = assertRejects(
    async () => await right.call(() => new Promise<void>(() => {})),
    DisconnectError,
    "Connection was aborted due to ",
  );
  await left.call(() => 0);
  left.cancel();
  left.cancel();
  await open;
  await theirs;
  await left.close();
  await right.wait();
  await assertRejects(() => right.close(), Error);
  await right.close();
});

Deno.test("cancel() while connecting makes ready() reject", async () => {
  const [there, back] = pipes();
  const left = Connection.fromPipes(back.readable, there.writable);
  const ready = assertRejects(() => left.ready(), DisconnectError, "Connection was cancelled");
  left.cancel();
  await ready;
  await left.close();
  await there.readable.cancel().catch(() => {});
});

Deno.test("garbage from the peer is a ProtocolError that close() reports once", async () => {
  const [there, back] = pipes();
  const left = Connection.fromPipes(back.readable, there.writable);
  const writer = back.writable.getWriter();
  const drained = there.readable.pipeTo(new WritableStream()).catch(() => {});
  const call = assertRejects(
    async () => await left.call(() => 1),
    DisconnectError,
    "Connection was aborted due to ProtocolError",
  );
  await writer.write(new Uint8Array(70 * 1024).fill(65)).catch(() => {});
  await call;
  await assertRejects(() => left.close(), Error, "superblock");
  await left.close();
  await drained;
});

Deno.test("a peer that never answers is given up after the timeout", async () => {
  const [there, back] = pipes();
  const left = Connection.fromPipes(back.readable, there.writable, { timeout: 50 });
  const error = await assertRejects(() => left.ready(), DOMException, "did not answer within 50 ms");
  assertEquals(error.name, "TimeoutError");
  await left.close();
  await there.readable.cancel().catch(() => {});
});

for (const [how, reset] of [["is at its end", false], ["is reset", true]] as const) {
  Deno.test(`close() does not wait for the timeout where the peer has gone before our goodbye could leave, and the stream ${how}`, async () => {
    const [there, back] = pipes();
    const right = Connection.fromPipes(there.readable, back.writable);
    const [writer, reader] = [there.writable.getWriter(), back.readable.getReader()];
    const gone = Promise.withResolvers<void>();
    let over = false;
    let rest: Uint8Array | undefined;
    // As a socket of Deno's to a process that was killed: the end to be read, and nobody to write to.
    const left = Connection.fromSocket({
      async read(buffer) {
        rest ??= await Promise.race([reader.read().then(({ value }) => value), gone.promise.then(() => undefined)]);
        if (over && reset) throw new Error("Connection reset by peer");
        if (!rest || over) return null;
        const size = Math.min(rest.length, buffer.length);
        buffer.set(rest.subarray(0, size));
        rest = size < rest.length ? rest.subarray(size) : undefined;
        return size;
      },
      async write(chunk: Uint8Array) {
        if (over) throw new Error("Broken pipe");
        await writer.write(chunk.slice());
        return chunk.length;
      },
      closeWrite: () => Promise.reject(new Error("Broken pipe")),
      close() {},
    }, { acceptCalls: false });
    assertEquals(await left.call(() => 1), 1);
    over = true;
    const closing = left.close();
    gone.resolve();
    await inTime(closing, 30_000); // of the 60 s that it had to wait
    right.cancel();
    await right.close();
  });
}

Deno.test("[Symbol.asyncDispose] does not throw what a call threw already", async () => {
  const { left, right } = await pair();
  const failed = assertRejects(
    async () => await left.call(() => new Promise<void>(() => {})),
    DisconnectError,
    "aborted",
  );
  await left.call(() => 0);
  right.cancel();
  await failed;
  await left[Symbol.asyncDispose]();
  await right.close();
});

Deno.test("options are checked", () => {
  assertThrows(() => new Options({ timeuot: 1 } as never), TypeError, 'Cannot use option "timeuot"');
  assertThrows(() => new Options({ timeout: NaN }), RangeError, "timeout");
  assertThrows(() => new Options({ timeout: "1" as never }), TypeError, "timeout");
  assertThrows(() => new Options({ maxMessageSize: 1 }), RangeError, "maxMessageSize");
  assertThrows(() => Connection.fromCommand(["true"], { timeuot: 1 } as never), TypeError, "timeuot");
  assertEquals(new Options({ timeout: 0 }).timeout, 1);
  assertEquals(new Options({ timeout: 1e12 }).timeout, 86_400_000);
  assertEquals(new Options({ timeout: Infinity }).timeout, Infinity);
  const options = new Options({ timeout: 5, acceptCalls: false });
  assertEquals(options.copy({ timeout: 6 }).acceptCalls, false);
  assertEquals(options.copy({ timeout: 6 }).timeout, 6);
});
