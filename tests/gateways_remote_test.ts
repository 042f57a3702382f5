/**
 * Gateways on every kind of interpreter and way to reach one: what is run, how it is told its arguments, and what is told of it.
 *
 * @module
 */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { getPriority } from "node:os";
import { HostNotFound, RemoteError } from "../gateways/mod.ts";
import { assertRejects } from "./support/assert_rejects.ts";
import { everything } from "./support/gateway_scenarios.ts";
import { inGroup, SOON, withGateway } from "./support/gateways.ts";
import { condition, noLeaks } from "./support/leaks.ts";
import { runtime } from "./support/runtimes.ts";
import type { RuntimeName } from "./support/runtimes.ts";
import { sshdMissing, startSshd } from "./support/sshd.ts";

for (
  const [name, version] of [["deno"], ["deno", "2.0"], ["node", "20"], ["node", "26"], ["bun"]] as [
    RuntimeName,
    string?,
  ][]
) {
  Deno.test(
    `a gateway does everything on ${name} ${version ?? ""}`,
    inGroup(async (group) => {
      const { path, version: exact } = await runtime(name, version);
      const gateway = await group.makeGateway({ runtime: path, env: { GREETING: "hello" }, nice: 3 });
      await everything(gateway);
      const info = await gateway.remoteInfo();
      assertEquals([info.runtime, info.version], [name, exact]);
      assert(info.pid && info.pid !== Deno.pid);
      const source = `
        const os = await import("node:os"), { default: process } = await import("node:process");
        await channel.send([process.env.GREETING, os.getPriority()]);
      `;
      assertEquals(await gateway.remoteExec(source).receive(SOON), ["hello", getPriority() + 3]);
    }),
  );
}

Deno.test(
  "a gateway does everything in a worker",
  inGroup(async (group) => {
    const gateway = await group.makeGateway("worker");
    await everything(gateway);
    assertEquals((await gateway.remoteInfo()).pid, Deno.pid);
  }),
);

Deno.test(
  "a gateway does everything behind a command that runs its arguments elsewhere",
  inGroup(async (group) => {
    await everything(await group.makeGateway("command=env WHERE=there"));
    const { path } = await runtime("node", "26");
    const filled = await group.makeGateway({ command: "sh -c 'exec \"$@\"' sh {}", runtime: path, "env:A": "b" });
    assertEquals((await filled.remoteInfo()).runtime, "node");
    assertEquals(await filled.remoteExec("channel.send(process.env.A)").receive(SOON), "b");
  }),
);

Deno.test(
  "a gateway does everything through another one, and through one behind that",
  inGroup(async (group) => {
    const { path } = await runtime("node", "20");
    await group.makeGateway("popen//id=first");
    const second = await group.makeGateway({ via: "first", id: "second", runtime: path });
    await everything(second);
    assertEquals((await second.remoteInfo()).runtime, "node");
    const { path: bun } = await runtime("bun");
    const third = await group.makeGateway({ via: "second", id: "third", runtime: bun });
    await everything(third);
    const pids = await group.remoteExec("channel.send((await import('node:process')).default.pid)").receiveEach();
    assertEquals(new Set(pids).size, 3);
    // What keeps one from opening is told as if there were nobody between.
    await assertRejects(() => group.makeGateway("via=second//chdir=/dev/null/nowhere"), Error, "/dev/null/nowhere");
  }),
);

const missing = await sshdMissing();
Deno.test({
  name: `a gateway does everything behind ssh${missing ? ` [${missing}]` : ""}`,
  ignore: missing !== undefined,
  fn: async () => {
    await using sshd = await startSshd();
    await inGroup(async (group) => {
      const gateway = await group.makeGateway({
        ssh: `${sshd.sshArgs.join(" ")} ${sshd.destination}`,
        env: { GREETING: "hello" },
        nice: 4,
      });
      await everything(gateway);
      const source = `
        const os = await import("node:os"), { default: process } = await import("node:process");
        await channel.send([process.env.GREETING, os.getPriority()]);
      `;
      assertEquals(await gateway.remoteExec(source).receive(SOON), ["hello", getPriority() + 4]);
      const error = await assertRejects(
        async () => void await group.makeGateway(`ssh=${sshd.sshArgs.join(" ")} -p 1 ${sshd.destination}//id=nobody`),
        HostNotFound,
        "refused",
      );
      assertStringIncludes(error.message, "ssh");
      assertEquals([group.length, group.has("nobody")], [1, false]);
    })();
  },
});

Deno.test(
  "chdir= makes the directory and changes to it",
  noLeaks(async () => {
    const place = await Deno.realPath(await Deno.makeTempDir());
    try {
      await inGroup(async (group) => {
        for (const name of ["deno", "node"] as const) {
          const { path } = await runtime(name);
          const gateway = await group.makeGateway({ runtime: path, chdir: `${place}/${name}/deep` });
          assertEquals((await gateway.remoteInfo()).cwd, `${place}/${name}/deep`);
        }
      })();
    } finally {
      await Deno.remove(place, { recursive: true });
    }
  }),
);

Deno.test(
  "permissions= keeps sources in the sandbox",
  withGateway(async (gateway) => {
    const channel = gateway.remoteExec("await Deno.readTextFile('/etc/hostname')");
    await assertRejects(() => channel.receive(SOON), RemoteError, "NotCapable");
    assertEquals(await gateway.remoteExec("channel.send(1 + 1)").receive(SOON), 2);
  }, { permissions: {} }),
);

Deno.test(
  "remoteExec() refuses what cannot be run",
  withGateway(async (gateway) => {
    await assertRejects(
      () => Promise.resolve().then(() => gateway.remoteExec(5 as unknown as string)),
      TypeError,
      "source text",
    );
    await assertRejects(() => gateway.remoteExec("1", { "a-b": 1 }).receive(SOON), Error, '"a-b"');
    await assertRejects(
      () => gateway.remoteExec(Array.prototype.push.bind([]) as never).receive(SOON),
      Error,
      "native",
    );
    await assertRejects(
      () => gateway.remoteExec("1", { it: new WeakMap() }).receive(SOON),
      Error,
      "WeakMap",
    );
    await condition(async () => (await gateway.remoteStatus()).channels === 0, "no channel is left over there");
  }),
);

Deno.test(
  "reconfigure() limits how many sources run, and queues the rest",
  withGateway(async (gateway) => {
    await gateway.reconfigure({ maxConcurrency: 1 });
    const source = "await channel.send('begun'); await channel.receive()";
    const first = gateway.remoteExec(source), second = gateway.remoteExec(source);
    assertEquals(await first.receive(SOON), "begun");
    const { queued, executing, channels } = await gateway.remoteStatus();
    assertEquals({ queued, executing, channels }, { queued: 1, executing: 1, channels: 2 });
    await first.send("end");
    assertEquals(await second.receive(SOON), "begun");
    await second.send("end");
    await second.waitClose(SOON);
    await assertRejects(() => gateway.reconfigure({ py2str_as_py3str: true } as never), TypeError, "py2str_as_py3str");
    await assertRejects(() => gateway.reconfigure({ speed: 1 } as never), TypeError, '"speed"');
    await assertRejects(() => gateway.reconfigure({ maxConcurrency: 0 }), RangeError, "maxConcurrency");
  }),
);
