/**
 * What a gateway is sent over there: as little as it needs, and the same classes that code over there imports.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import type { Channel } from "../gateways/mod.ts";
import { runTcp } from "../servers/mod.ts";
import { inGroup, SOON, withGateway } from "./support/gateways.ts";
import type { Runtime } from "./support/runtimes.ts";
import { testEachRuntime } from "./support/runtimes.ts";

/** More than kernel, extension and what a gateway needs have together, and less than with all of across. */
const GOAL = 56 * 1024;

await testEachRuntime(
  "a gateway is sent no modules, and little else",
  (it: Runtime) =>
    withGateway(async (gateway) => {
      assertEquals(await gateway.remoteExec("channel.send(42)").receive(SOON), 42);
      const { modulesSent, bytesSent } = gateway.connection.status();
      assertEquals(modulesSent, 0);
      assert(bytesSent < GOAL, `${bytesSent} bytes`);
    }, { popen: true, runtime: it.path })(),
);

await testEachRuntime(
  "what arrives over there is of the classes that are imported there, at whatever time",
  (it: Runtime) =>
    withGateway(async (gateway) => {
      const early = gateway.newChannel();
      const channel = gateway.remoteExec(
        async (channel: Channel, { early }: { early: Channel }) => {
          const late = await channel.receive();
          const { Channel, EndOfChannelError, getChannel } = await import("@x/across/gateways");
          const end = await (late as Channel).receive().catch((error: unknown) => error);
          await channel.send([
            [channel, early, late].every((each) => each instanceof Channel),
            end instanceof EndOfChannelError,
            getChannel() === channel,
          ]);
        },
        { early },
      );
      const late = gateway.newChannel();
      await channel.send(late);
      late.close();
      assertEquals(await channel.receive(SOON), [true, true, true]);
      early.close();
    }, { popen: true, runtime: it.path })(),
);

await testEachRuntime(
  "getChannel() tells sources apart that run at a time, also behind an await",
  (it: Runtime) =>
    withGateway(async (gateway) => {
      const text = `
        const { getChannel } = await import("@x/across/gateways");
        await channel.receive();
        await channel.send([getChannel() === channel, n]);`;
      const channels = [1, 2, 3].map((n) => gateway.remoteExec(text, { n }));
      for (const channel of channels.toReversed()) await channel.send("go");
      for (const [i, channel] of channels.entries()) assertEquals(await channel.receive(SOON), [true, i + 1]);
    }, { popen: true, runtime: it.path })(),
);

Deno.test(
  "a far side that has across itself serves a gateway with that",
  inGroup(async (group) => {
    const stop = new AbortController();
    const { promise: listening, resolve } = Promise.withResolvers<number>();
    const serving = runTcp("127.0.0.1", 0, { signal: stop.signal, onListen: ({ port }) => resolve(port!) });
    const gateway = await group.makeGateway(`socket=127.0.0.1:${await listening}`);
    assertEquals((await gateway.remoteInfo()).pid, Deno.pid);
    const echo = gateway.remoteExec("await channel.send(await channel.receive())");
    await echo.send(42);
    assertEquals(await echo.receive(SOON), 42);
    await echo.waitClose(SOON);
    await group.terminate({ timeout: 10_000 });
    stop.abort();
    await serving;
  }),
);
