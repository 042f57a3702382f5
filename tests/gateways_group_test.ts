/**
 * Groups: names, opening, asking all, ending all; several channels together. Spreading work is in
 * `gateways_map_test.ts`, many gateways and trees of them in `gateways_tree_test.ts`.
 *
 * @module
 */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { defaultGroup, Group, MultiChannel, RemoteError, TimeoutError } from "../gateways/mod.ts";
import { assertRejects } from "./support/assert_rejects.ts";
import { inGroup, SOON } from "./support/gateways.ts";
import { condition, descendants, isAlive, noLeaks } from "./support/leaks.ts";

const PID = "channel.send((await import('node:process')).default.pid)";

Deno.test(
  "a group finds its gateways by id and by position",
  inGroup(async (group) => {
    const [first, second] = await group.makeGateways(["popen", "popen//id=named"]);
    assertEquals([group.length, first!.id, second!.id], [2, "gw0", "named"]);
    assertEquals([group.get("named"), group.get(0), group.get(-1), group.get("x")], [second, first, second, undefined]);
    assert(group.has("gw0") && group.has(second!) && !group.has("x"));
    assertEquals([...group].map(({ id }) => id), ["gw0", "named"]);
    await assertRejects(() => group.makeGateway("id=named"), TypeError, '"named"');
    await assertRejects(() => group.makeGateway("via=nobody"), TypeError, '"nobody"');
    first!.exit();
    await first!.join(SOON);
    await condition(() => !group.has("gw0"), "it has left the group");
    assertEquals((await group.makeGateway()).id, "gw1");
  }),
);

Deno.test(
  "a gateway that does not open leaves no trace",
  inGroup(async (group) => {
    await assertRejects(() => group.makeGateway("runtime=/does/not/exist//id=a"), Error, "/does/not/exist");
    await assertRejects(() => group.makeGateway("command=false//id=a"), Error, "status 1");
    await assertRejects(() => group.makeGateway("socket=127.0.0.1:1//id=a"), Error, "127.0.0.1:1");
    await group.makeGateway("id=carrier");
    await assertRejects(() => group.makeGateway("command=exit 7//via=carrier//id=a"), Error, "status 7");
    assertEquals([group.length, group.has("a")], [1, false]);
    const [, ...others] = descendants();
    assertEquals(others.map(({ command }) => command), [], "no process but the carrier");
  }),
);

Deno.test(
  "defaultSpec is what a group opens when it is given nothing",
  noLeaks(async () => {
    const group = new Group({ defaultSpec: "worker" });
    assertEquals((await group.makeGateway()).spec.type, "worker");
    group.defaultSpec = "popen//env:A=b";
    assertEquals(String(group.defaultSpec), "popen//env:A=b");
    assertEquals((await group.makeGateway()).spec.type, "popen");
    await group.terminate();
    assertEquals(defaultGroup.length, 0);
  }),
);

Deno.test(
  "remoteExec() of a group runs everywhere, and a MultiChannel speaks with all",
  inGroup(async (group) => {
    await group.makeGateways(["popen", "popen", "popen"]);
    const channels = group.remoteExec("for await (const n of channel) await channel.send(n * factor)", { factor: 3 });
    assertEquals(channels.length, 3);
    await channels.sendEach(5);
    assertEquals(await channels.receiveEach(), [15, 15, 15]);
    await channels.sendEach(1);
    assertEquals((await channels.receiveEach(true)).map(([channel, item]) => [channels.has(channel), item]), [
      [true, 3],
      [true, 3],
      [true, 3],
    ]);
    assert(channels.get(0) === [...channels][0] && channels.get(channels.get(1)!.id) === channels.get(1));
    await assertRejects(() => channels.receiveEach(false, { timeout: 1 }), TimeoutError);
    for (const channel of channels) channel.close();
    await channels.waitClose(SOON);
    await assertRejects(() => group.remoteExec("throw new Error('no')").waitClose(SOON), RemoteError, "no");
  }),
);

Deno.test(
  "makeReceiveQueue() gives what arrives over all channels, with end markers",
  inGroup(async (group) => {
    await group.makeGateways(["popen", "popen"]);
    const channels = group.remoteExec("await channel.send(1); await channel.send(2)");
    const queue = channels.makeReceiveQueue({ endMarker: "end" });
    const got: unknown[] = [];
    for (let i = 0; i < 6; i++) got.push((await queue.get(SOON))[1]);
    assertEquals(got.sort(), [1, 1, 2, 2, "end", "end"]);
    await assertRejects(() => queue.get({ timeout: 1 }), TimeoutError);
    const more: unknown[] = [];
    const others = new MultiChannel(group.remoteExec("await channel.send('x')"));
    for await (const [channel, item] of others.makeReceiveQueue()) more.push([others.has(channel), item]);
    assertEquals(more, [[true, "x"], [true, "x"]]);
  }),
);

Deno.test(
  "terminate() ends a healthy, a dead, and a hanging member in time, and nothing survives",
  noLeaks(async () => {
    const group = new Group();
    await group.makeGateways(["popen//id=healthy", "popen//id=dead", "popen//id=hanging", "popen//id=carrier"]);
    const carried = await group.makeGateway("popen//via=carrier//id=carried");
    const pids = await group.remoteExec(PID).receiveEach(false, SOON) as number[];
    group.get("hanging")!.remoteExec("for (;;);");
    carried.remoteExec("for (;;);");
    Deno.kill(pids[1]!, "SIGKILL");
    const started = performance.now();
    await group.terminate({ timeout: 1_000 });
    assert(performance.now() - started < 30_000);
    assertEquals(group.length, 0);
    await condition(() => !pids.some(isAlive), "no process is left");
  }),
);

Deno.test(
  "terminate() without a timeout waits, and kills nothing",
  noLeaks(async () => {
    const group = new Group();
    const gateway = await group.makeGateway();
    const pid = await gateway.remoteExec(PID).receive<number>(SOON);
    const busy = "const end = Date.now() + 1_500; await channel.send(1); while (Date.now() < end);";
    await gateway.remoteExec(busy).receive(SOON);
    gateway.exit();
    await assertRejects(() => gateway.join({ timeout: 1 }), TimeoutError, gateway.id);
    assert(isAlive(pid));
    await group.terminate();
    assert(!isAlive(pid));
  }),
);

Deno.test(
  "a program that forgets its gateways ends, and so do they",
  noLeaks(async () => {
    const code = `
    import { makeGateway } from ${JSON.stringify(import.meta.resolve("../gateways/mod.ts"))};
    const gateway = await makeGateway();
    const channel = gateway.remoteExec("await channel.send((await import('node:process')).default.pid); await new Promise(() => {})");
    console.log(await channel.receive());
  `;
    const { code: status, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["eval", "--ext=ts", code],
    }).output();
    assertEquals(status, 0, new TextDecoder().decode(stderr));
    const pid = Number(new TextDecoder().decode(stdout));
    assert(pid > 0);
    await condition(() => !isAlive(pid), "the far side has ended");
    assertStringIncludes(String(pid), "");
  }),
);
