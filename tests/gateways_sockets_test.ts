/**
 * Gateways over sockets: of servers of across, and of the one that is a script.
 *
 * @module
 */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { getSocketServer, Group, HostNotFound } from "../gateways/mod.ts";
import { BiosConnectionHandler, runTcp, runUnix } from "../servers/mod.ts";
import { assertRejects } from "./support/assert_rejects.ts";
import { everything } from "./support/gateway_scenarios.ts";
import { inGroup, SOON } from "./support/gateways.ts";
import { condition, descendants, noLeaks } from "./support/leaks.ts";
import { evalArgs, runtime } from "./support/runtimes.ts";

Deno.test(
  "socket= and unix= reach servers of across",
  noLeaks(async () => {
    const place = await Deno.makeTempDir();
    const stop = new AbortController();
    const handler = new BiosConnectionHandler();
    const { promise, resolve } = Promise.withResolvers<number>();
    const { promise: there, resolve: listening } = Promise.withResolvers<unknown>();
    const { signal } = stop;
    const running = [
      runTcp("127.0.0.1", 0, { handler, signal, secret: "hush", onListen: ({ port }) => resolve(port) }),
      runUnix(`${place}/socket`, { handler, signal, onListen: listening }),
    ];
    try {
      await there;
      const group = new Group();
      try {
        const port = await promise;
        const tcp = await group.makeGateway({ socket: `127.0.0.1:${port}`, secret: "hush", env: { A: "b" }, nice: 1 });
        const unix = await group.makeGateway({ unix: `${place}/socket`, chdir: `${place}/new` });
        assertEquals((await unix.remoteInfo()).cwd, await Deno.realPath(`${place}/new`));
        assertEquals(await tcp.remoteExec("channel.send(Deno.env.get('A'))").receive(SOON), "b");
        for (const gateway of [tcp, unix]) await everything(gateway);
        await assertRejects(() => group.makeGateway({ socket: `127.0.0.1:${port}`, secret: "wrong" }), Error);
        assertEquals(group.length, 2);
      } finally {
        await group.terminate({ timeout: 10_000 });
      }
    } finally {
      stop.abort();
      await Promise.all(running);
      await handler.close();
      await Deno.remove(place, { recursive: true });
    }
  }),
);

Deno.test(
  "socket= and unix= tell what cannot be reached",
  inGroup(async (group) => {
    await assertRejects(() => group.makeGateway("socket=127.0.0.1:1"), HostNotFound, "127.0.0.1:1");
    await assertRejects(() => group.makeGateway("unix=/does/not/exist"), HostNotFound, "/does/not/exist");
  }),
);

for (const [name, version] of [["deno"], ["node", "20"], ["bun"]] as const) {
  Deno.test(
    `getSocketServer() is a script that a bare ${name} runs`,
    noLeaks(async () => {
      const script = getSocketServer({ port: 0, secret: "hush" });
      const [program, ...args] = evalArgs(await runtime(name, version), script);
      const server = new Deno.Command(program!, { args, stdout: "piped" }).spawn();
      const reader = server.stdout.pipeThrough(new TextDecoderStream()).getReader();
      try {
        const { value } = await reader.read();
        const port = Number(/^listening on tcp 127\.0\.0\.1:(\d+)\n$/.exec(value!)![1]);
        await inGroup(async (group) => {
          const socket = `127.0.0.1:${port}`;
          const [a, b] = await group.makeGateways([{ socket, secret: "hush" }, { socket, secret: "hush" }]);
          assertEquals([(await a!.remoteInfo()).runtime, (await b!.remoteInfo()).runtime], [name, name]);
          assert((await a!.remoteInfo()).pid !== (await b!.remoteInfo()).pid);
          const bytes = new Uint8Array(1_000_000).fill(9);
          await everything(b!);
          const echo = a!.remoteExec("channel.send((await channel.receive()).length)");
          await echo.send(bytes);
          assertEquals(await echo.receive(SOON), 1_000_000);
          const children = () => descendants(server.pid).length;
          const before = children();
          await assertRejects(() => group.makeGateway({ socket, secret: "wrong" }), Error);
          await assertRejects(() => group.makeGateway({ socket }), Error);
          assertEquals(children(), before, "nothing was started for strangers");
        })();
      } finally {
        server.kill("SIGKILL");
        await reader.cancel();
        await server.status;
      }
      await condition(() => descendants(server.pid).length === 0, "its children have ended");
    }),
  );
}

Deno.test("getSocketServer() refuses to listen for everybody without a secret", () => {
  assertThrows(() => getSocketServer({ host: "0.0.0.0" }), RangeError, "secret");
  assertThrows(() => getSocketServer({ port: 70_000 }), RangeError, "70000");
  assertThrows(() => getSocketServer({ speed: 1 } as never), TypeError, '"speed"');
  assert(getSocketServer({ host: "0.0.0.0", secret: "hush" }).length > 0);
});

Deno.test(
  "the triangle: a gateway starts a server, another one dials it, and both talk",
  inGroup(async (group) => {
    const carrier = await group.makeGateway("popen//id=carrier");
    const [host, port] = await carrier.remoteExec(getSocketServer({ port: 0 })).receive<[string, number]>(SOON);
    const dialled = await group.makeGateway(`socket=${host}:${port}//id=dialled`);
    const installed = await group.makeGateway("socket//installvia=carrier//id=installed");
    const channels = group.remoteExec("await channel.send(await channel.receive() + 1)");
    await channels.sendEach(1);
    assertEquals(await channels.receiveEach(false, SOON), [2, 2, 2]);
    const between = dialled.newChannel();
    await dialled.remoteExec("await (await channel.receive()).send('from dialled')").send(between);
    await installed.remoteExec("const it = await channel.receive(); globalThis.got = await it.receive()").send(between);
    await condition(
      async () => await installed.remoteExec("channel.send(globalThis.got)").receive() === "from dialled",
      "it arrived",
    );
    await assertRejects(() => group.makeGateway("socket//installvia=nobody"), TypeError, '"nobody"');
  }),
);
