/**
 * Channels: sending, receiving, closing, callbacks, streams, files, and channels over channels. On one kind of interpreter; the others are in
 * `gateways_remote_test.ts`.
 *
 * @module
 */

import { assert, assertEquals, assertInstanceOf, assertStringIncludes } from "@std/assert";
import { OperationError } from "../mod.ts";
import type { Channel } from "../gateways/mod.ts";
import { EndOfChannelError, RemoteError, TimeoutError } from "../gateways/mod.ts";
import { assertRejects } from "./support/assert_rejects.ts";
import { collectGarbage } from "./support/garbage.ts";
import { inGroup, SOON, withGateway } from "./support/gateways.ts";
import { condition } from "./support/leaks.ts";

const ECHO = "for await (const item of channel) await channel.send(item)";

Deno.test(
  "send() copies everything that travels, in order",
  withGateway(async (gateway) => {
    const channel = gateway.remoteExec(ECHO);
    const items = [
      1,
      "two",
      null,
      undefined,
      NaN,
      -0,
      10n ** 30n,
      new Map([["a", new Set([1])]]),
      new Date(5),
      /x/g,
      [
        ,
        1,
      ],
      new Uint8Array([1, 2, 3]),
      { deep: { er: [1, { x: 2 }] } },
    ];
    for (const item of items) await channel.send(item);
    for (const item of items) assertEquals(await channel.receive(SOON), item);
    const error = new RangeError("out", { cause: "in" });
    await channel.send(error);
    const back = await channel.receive<RangeError>(SOON);
    assertInstanceOf(back, RangeError);
    assertEquals([back.message, back.cause], ["out", "in"]);
    channel.close();
  }),
);

Deno.test(
  "send() rejects for an item that cannot travel, and the channel lives",
  withGateway(async (gateway) => {
    const channel = gateway.remoteExec(ECHO);
    await channel.send(1);
    await assertRejects(() => channel.send({ user: new WeakMap() }), OperationError, "user");
    await channel.send(2);
    assertEquals([await channel.receive(SOON), await channel.receive(SOON)], [1, 2]);
    channel.close();
  }),
);

Deno.test(
  "send() waits for a slow reader, and everything arrives",
  withGateway(async (gateway) => {
    const channel = gateway.remoteExec(`
      let sent = 0;
      (async () => {
        for (; sent < 1000; sent++) await channel.send(new Uint8Array(100_000).fill(sent % 251));
      })().catch(() => {});
      const control = await channel.receive();
      for await (const _ of control) await control.send(sent);
    `);
    const control = gateway.newChannel();
    await channel.send(control);
    let before = -1;
    const settled = await condition(async () => {
      await control.send("?");
      const sent = await control.receive<number>(SOON);
      const same = sent === before && sent > 0;
      before = sent;
      return same && sent;
    }, "the sender waits");
    assert(settled < 200, `${settled} items of 100 kB are under way`);
    for (let i = 0; i < 1000; i++) assertEquals((await channel.receive<Uint8Array>(SOON))[99_999], i % 251);
    control.close();
  }),
);

Deno.test(
  "receive() gives up in time, and when its signal is aborted, and loses nothing",
  withGateway(async (gateway) => {
    const channel = gateway.remoteExec(ECHO);
    await assertRejects(() => channel.receive({ timeout: 1 }), TimeoutError, "1 ms");
    const controller = new AbortController();
    const waiting = channel.receive({ signal: controller.signal });
    controller.abort(new RangeError("enough"));
    await assertRejects(() => waiting, RangeError, "enough");
    await channel.send("kept");
    assertEquals(await channel.receive(SOON), "kept");
    for (const timeout of [-1, NaN]) await assertRejects(() => channel.receive({ timeout }), RangeError, "timeout");
    channel.close();
  }),
);

Deno.test(
  "receive() rejects with the same RemoteError each time, behind the items",
  withGateway(async (gateway) => {
    const channel = gateway.remoteExec("await channel.send(1);\nawait channel.send(2);\nthrow new TypeError('boom')");
    assertEquals(await channel.receive(SOON), 1);
    await assertRejects(() => channel.waitClose(SOON), RemoteError, "boom");
    assertEquals(await channel.receive(SOON), 2);
    const error = await assertRejects(() => channel.receive(), RemoteError, "TypeError: boom");
    assertInstanceOf(error.cause, TypeError);
    assertStringIncludes(error.stack!, `Below lines obtained from Gateway "${gateway.id}"`);
    assert(await channel.receive().catch((again) => again === error));
    await assertRejects(() => channel.send(3), RemoteError, "boom");
  }),
);

Deno.test(
  "receive() tells the end of the channel from everything else",
  withGateway(async (gateway) => {
    const channel = gateway.remoteExec("channel.send('last')");
    await channel.waitClose(SOON);
    assert(channel.isClosed);
    assertEquals(await channel.receive(), "last");
    await assertRejects(() => channel.receive(), EndOfChannelError, "closed");
    await assertRejects(() => channel.send(1), EndOfChannelError, "closed");
    await channel.waitClose();
  }),
);

Deno.test(
  "close() wakes who waits, and what arrived stays receivable",
  withGateway(async (gateway) => {
    const channel = gateway.remoteExec("await channel.send(1); await channel.send(2); await channel.receive()");
    const first = gateway.remoteExec("await channel.receive()");
    const waiting = first.receive();
    const rejected = assertRejects(() => waiting, EndOfChannelError);
    first.close();
    await rejected;
    assertEquals(await channel.receive(SOON), 1);
    await condition(async () => (await gateway.remoteStatus()).executing <= 1, "the first source has ended");
    channel.close();
    assert(channel.isClosed);
    assertEquals(await channel.receive(SOON), 2);
    await assertRejects(() => channel.receive(), EndOfChannelError);
    channel.close();
  }),
);

Deno.test(
  "close() lets everything arrive that was sent before, and then the error",
  withGateway(async (gateway) => {
    const channel = gateway.remoteExec(`
      const report = await channel.receive();
      const data = await channel.receive();
      let count = 0;
      try {
        for (;;) { await data.receive(); count++; }
      } catch (error) {
        await report.send([count, error.name, error.message]);
      }
    `);
    const report = gateway.newChannel(), data = gateway.newChannel();
    await channel.send(report);
    await channel.send(data);
    const sent: Promise<void>[] = [];
    for (let i = 0; i < 500; i++) sent.push(data.send(new Uint8Array(50_000).fill(i)));
    data.close(new RangeError("that was all"));
    await Promise.all(sent);
    assertEquals(await report.receive(SOON), [500, "RemoteError", "RangeError: that was all"]);
  }),
);

Deno.test(
  "the running source cannot close its own channel",
  withGateway(async (gateway) => {
    const channel = gateway.remoteExec("try { channel.close() } catch (error) { await channel.send(error.message) }");
    assertStringIncludes(await channel.receive<string>(SOON), "it closes at the end of the source");
    await channel.waitClose(SOON);
  }),
);

Deno.test(
  "setCallback() gets queued items first, then each as it arrives, then the end marker",
  withGateway(async (gateway) => {
    const channel = gateway.remoteExec(
      "await channel.send(1); await channel.send(2); await channel.receive(); await channel.send(3)",
    );
    await condition(async () => (await gateway.remoteStatus()).executing === 1, "it runs");
    const got: unknown[] = [];
    channel.setCallback((item) => got.push(item), { endMarker: "end" });
    await assertRejects(() => channel.receive(), Error, "callback");
    await condition(() => got.length === 2, "both arrived");
    await channel.send("go on");
    await channel.waitClose(SOON);
    await condition(() => got.length === 4, "the end marker arrived");
    assertEquals(got, [1, 2, 3, "end"]);
  }),
);

Deno.test(
  "setCallback() closes the channel when the callback throws, with that error",
  withGateway(async (gateway) => {
    const channel = gateway.remoteExec(`
      const data = await channel.receive();
      await data.send(1);
      await data.receive().catch((error) => channel.send([error.name, error.message]));
    `);
    const data = gateway.newChannel();
    data.setCallback(() => {
      throw new RangeError("no more");
    });
    await channel.send(data);
    assertEquals(await channel.receive(SOON), ["RemoteError", "RangeError: no more"]);
    await assertRejects(() => data.waitClose(SOON), RangeError, "no more");
  }),
);

Deno.test(
  "readable and writable are streams, and closing one direction leaves the other",
  withGateway(async (gateway) => {
    const channel = gateway.remoteExec(`
      let sum = 0;
      for await (const n of channel) sum += n;
      await channel.send(sum);
    `);
    const writer = channel.writable.getWriter();
    for (let n = 1; n <= 200; n++) await writer.write(n);
    await writer.close();
    assert(channel.isClosed);
    const items: unknown[] = [];
    for await (const item of channel.readable) items.push(item);
    assertEquals(items, [20_100]);
  }),
);

Deno.test(
  "makeFile() reads and writes text",
  withGateway(async (gateway) => {
    const channel = gateway.remoteExec(`
      const file = channel.makeFile("r"), out = channel.makeFile("w");
      await out.write((await file.readLine()).toUpperCase());
      await out.write(await file.read(3));
      await out.write("|" + await file.read());
    `);
    const out = channel.makeFile("w"), file = channel.makeFile("r");
    await out.write("one\\nt");
    await out.write("\nwo3rest");
    channel.writable.getWriter().close();
    assertEquals(await file.readLine(), "ONE\\NT\n");
    assertEquals(await file.read(), "wo3|rest");
    await assertRejects(() => file.write("x"), TypeError, '"r"');
    const other = gateway.remoteExec("await channel.receive()");
    other.makeFile("w").close();
    assert(!other.isClosed);
    other.makeFile("w", { proxyClose: true }).close();
    assert(other.isClosed);
  }),
);

Deno.test(
  "a channel over a channel: the receiver has the other end",
  withGateway(async (gateway) => {
    const channel = gateway.remoteExec(`
      for await (const { inner } of channel) {
        await inner.send("hello");
        await inner.send(await inner.receive() + 1);
        inner.close();
      }
    `);
    const inner = gateway.newChannel();
    const early = inner.send(41);
    await channel.send({ inner });
    await early;
    assertEquals([await inner.receive(SOON), await inner.receive(SOON)], ["hello", 42]);
    await inner.waitClose(SOON);
    channel.close();
  }),
);

Deno.test(
  "a channel that is passed on joins two gateways",
  inGroup(async (group) => {
    const [a, b] = await group.makeGateways(["popen//id=a", "popen//id=b"]);
    const left = a!.remoteExec(
      "const it = await channel.receive(); for (let i = 0; i < 300; i++) await it.send(i); it.close()",
    );
    const right = b!.remoteExec(
      "const it = await channel.receive(); let sum = 0; for await (const n of it) sum += n; await channel.send(sum)",
    );
    const between = a!.newChannel();
    await left.send(between);
    await right.send(between);
    assertEquals(await right.receive(SOON), 300 * 299 / 2);
    await assertRejects(() => between.receive(), Error, "passed on");
    await left.waitClose(SOON);
  }),
);

Deno.test(
  "a channel that came from a gateway can be passed on to another one",
  inGroup(async (group) => {
    const [a, b] = await group.makeGateways(["popen", "popen"]);
    const left = a!.remoteExec("for await (const it of channel) await it.send('from a')");
    const right = b!.remoteExec("const it = await channel.receive(); await channel.send(it); await channel.receive()");
    const inner = b!.newChannel();
    await right.send(inner);
    // b passes its end back to here, and we pass it to a.
    await left.send(await right.receive<Channel>(SOON));
    assertEquals(await inner.receive(SOON), "from a");
    right.close();
    left.close();
  }),
);

Deno.test(
  "a channel that nobody refers to any more closes by itself",
  withGateway(async (gateway) => {
    const channel = gateway.remoteExec(`
      const inner = await channel.receive();
      await channel.send("got it");
      await channel.send(await inner.receive().catch((error) => error.name));
    `);
    await (async () => {
      const inner = gateway.newChannel();
      await channel.send(inner);
      assertEquals(await channel.receive(SOON), "got it");
    })();
    const name = channel.receive(SOON);
    let settled = false;
    void name.finally(() => settled = true).catch(() => {});
    await condition(
      async () => {
        await collectGarbage();
        return settled;
      },
      "it is collected",
    );
    assertEquals(await name, "EndOfChannelError");
  }),
);

Deno.test(
  "a channel that was passed on stays open when nobody refers to it here any more",
  inGroup(async (group) => {
    const gateways = await group.makeGateways(["popen", "popen"]);
    const [left, right] = gateways.map((gateway) =>
      gateway.remoteExec(`
        const it = await channel.receive();
        await channel.send("got it");
        await it.send(await channel.receive());
        await channel.send(await it.receive());
        await channel.receive();
      `)
    );
    let collected = false;
    const registry = new FinalizationRegistry(() => collected = true);
    await (async () => {
      const between = gateways[0]!.newChannel();
      registry.register(between, undefined);
      for (const channel of [left!, right!]) {
        await channel.send(between);
        assertEquals(await channel.receive(SOON), "got it");
      }
    })();
    await condition(
      async () => {
        await collectGarbage();
        return collected;
      },
      "it is collected",
      25_000,
    );
    await left!.send("from left");
    await right!.send("from right");
    assertEquals([await left!.receive(SOON), await right!.receive(SOON)], ["from right", "from left"]);
    left!.close();
    right!.close();
  }),
);
