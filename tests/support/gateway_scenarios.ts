/**
 * All that a gateway has to be able to do, wherever it is and whatever interpreter it has.
 *
 * @module
 */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { Channel, Gateway } from "../../gateways/mod.ts";
import { EndOfChannelError, RemoteError } from "../../gateways/mod.ts";
import { greet } from "../fixtures/gateways/greet.ts";
import { assertRejects } from "./assert_rejects.ts";
import { SOON } from "./gateways.ts";
import { condition } from "./leaks.ts";

const FIXTURES = import.meta.resolve("../fixtures/gateways/");

/** All that a gateway has to be able to do, wherever it is. */
export async function everything(gateway: Gateway): Promise<void> {
  // Text, with arguments, types, and await.
  const text = gateway.remoteExec(
    `const sum: number = base + (await channel.receive() as number); await channel.send([sum, __name__]);`,
    { base: 40 },
  );
  await text.send(2);
  assertEquals(await text.receive(SOON), [42, "__channelexec__"]);
  await text.waitClose(SOON);
  // A function, by its source.
  const fn = gateway.remoteExec(async (channel: Channel, { names }: { names: string[] }) => {
    for (const name of names) await channel.send(name.length);
  }, { names: ["a", "bc"] });
  const lengths: unknown[] = [];
  for await (const length of fn) lengths.push(length);
  assertEquals(lengths, [1, 2]);
  // A function, by its exported name.
  await gateway.export(`${FIXTURES}greet.ts`);
  assertEquals(await gateway.remoteExec(greet, { name: "Ada" }).receive(SOON), "Hello Ada");
  // Modules, with a default export and without.
  assertEquals(await gateway.remoteExec(`${FIXTURES}main.ts`, { n: 20 }).receive(SOON), 21);
  assertEquals(await gateway.remoteExec(new URL(`${FIXTURES}main.ts`), { n: 1 }).receive(SOON), 2);
  for (let i = 0; i < 3; i++) {
    const bare = gateway.remoteExec(`${FIXTURES}bare.ts`);
    await bare.send(i);
    assertEquals(await bare.receive(SOON), ["bare", i]);
    await bare.waitClose(SOON);
  }
  // Channels, callbacks, bytes.
  const inner = gateway.newChannel();
  const channel = gateway.remoteExec("await inner.send(await ask(20)); inner.close(); await channel.send(bytes)", {
    inner,
    ask: (n: number) => n + 1,
    bytes: new Uint8Array(100_000).fill(7),
  });
  assertEquals(await inner.receive(SOON), 21);
  assertEquals((await channel.receive<Uint8Array>(SOON)).length, 100_000);
  // Failures.
  const error = await assertRejects(() => gateway.remoteExec("null.x").receive(SOON), RemoteError, "TypeError");
  assertStringIncludes(error.stack!, gateway.id);
  await assertRejects(() => gateway.remoteExec("not JavaScript").receive(SOON), RemoteError, "SyntaxError");
  // It answers while a source waits, and several run at a time.
  const waiting = gateway.remoteExec("await channel.receive()");
  await condition(async () => (await gateway.remoteStatus()).executing === 1, "one runs");
  assertEquals((await gateway.remoteStatus()).queued, 0);
  waiting.close();
  await condition(async () => (await gateway.remoteStatus()).executing === 0, "none runs");
  const here = await gateway.remoteExec(
    `const names = Object.keys(await import("@x/across/gateways")); await channel.send(names.includes("getChannel"))`,
  ).receive(SOON);
  assertEquals(here, true);
  await channels(gateway);
}

/** What channels do, on the far side, too: each of these is tested closer in `gateways_channel_test.ts`. */
async function channels(gateway: Gateway): Promise<void> {
  // Over there it is the same class.
  const source = `
    const told = [];
    try { channel.close() } catch (error) { told.push(error.message) }
    const file = channel.makeFile("r");
    told.push(await file.readLine(), await channel.receive({ timeout: 1 }).catch((error) => error.name));
    const { promise, resolve } = Promise.withResolvers ? Promise.withResolvers() : (() => {
      let resolve; return { promise: new Promise((it) => resolve = it), resolve };
    })();
    channel.setCallback((item) => { told.push(item); if (item === "end") resolve() }, { endMarker: "end" });
    told.push(await channel.receive().catch((error) => error.message));
    await channel.send("ready");
    await promise;
    await channel.send(told);
  `;
  const channel = gateway.remoteExec(source);
  const file = channel.makeFile("w", { proxyClose: false });
  await file.write("one line\n");
  assertEquals(await channel.receive(SOON), "ready");
  file.close();
  await channel.send(1);
  await channel.send(2);
  // Our half is closed, theirs is not.
  await channel.writable.close();
  await assertRejects(() => channel.send(3), EndOfChannelError);
  const [refusal, line, late, none, ...items] = await channel.receive<string[]>(SOON);
  assertStringIncludes(refusal!, "it closes at the end of the source");
  assertEquals([line, late], ["one line\n", "TimeoutError"]);
  assertStringIncludes(none!, "callback");
  assertEquals(items as unknown[], [1, 2, "end"]);
  await channel.waitClose(SOON);
  // Items that were sent before an end arrive; an error is the same each time; a file may close its channel.
  const failing = gateway.remoteExec("await channel.send(1); throw new RangeError('over')");
  await assertRejects(() => failing.waitClose(SOON), RemoteError, "RangeError: over");
  assertEquals(await failing.receive(), 1);
  const first = await failing.receive().catch((error) => error);
  assert(first === await failing.receive().catch((error) => error));
  const idle = gateway.remoteExec("await channel.receive()");
  idle.makeFile("r", { proxyClose: true }).close();
  assert(idle.isClosed);
  // Sources beyond the limit wait, of which one is told meanwhile.
  await gateway.reconfigure({ maxConcurrency: 1 });
  const both = [1, 2].map(() => gateway.remoteExec("await channel.receive()"));
  await condition(async () => {
    const { queued, executing } = await gateway.remoteStatus();
    return queued === 1 && executing === 1;
  }, "one runs and one waits");
  for (const it of both) it.close();
  await gateway.reconfigure({ maxConcurrency: 100 });
  await condition(async () => (await gateway.remoteStatus()).executing === 0, "none runs");
}
