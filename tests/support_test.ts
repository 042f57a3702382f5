// The tests' own tools: that they see what they claim to see.

import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { condition, descendants, inTime, isAlive, leakCheck, noLeaks, openDescriptors } from "./support/leaks.ts";
import { relay, relayCommand } from "./support/relay.ts";
import { evalArgs, testEachRuntime } from "./support/runtimes.ts";
import { sshdMissing, startSshd } from "./support/sshd.ts";

const text = async (stream: ReadableStream<Uint8Array>): Promise<string> => await new Response(stream).text();

async function ssh(args: readonly string[], command: string): Promise<{ code: number; out: string; err: string }> {
  const { code, stdout, stderr } = await new Deno.Command("ssh", { args: [...args, "wonderland", command] }).output();
  return { code, out: new TextDecoder().decode(stdout), err: new TextDecoder().decode(stderr) };
}

await testEachRuntime("evalArgs() runs a script in a bare interpreter", async ({ path, name, version }) => {
  const [program = "", ...args] = evalArgs({ path, name, version }, "console.log(6 * 7)");
  const { stdout } = await new Deno.Command(program, { args, cwd: "/" }).output();
  assertEquals(new TextDecoder().decode(stdout), "42\n");
});

Deno.test("condition() names what it waited for, with the last error as cause", async () => {
  const error = await assertRejects(
    () => condition(() => Promise.reject(new TypeError("no")), "pigs fly", 20),
    Error,
    "Not so within 20 ms: pigs fly",
  );
  assert(error.cause instanceof TypeError);
});

Deno.test("inTime() fails what hangs", async () => {
  await inTime(undefined, 20);
  await assertRejects(() => inTime(new Promise(() => {}), 20), Error, "not ended within 20 ms");
});

Deno.test({
  name: "leakCheck() names a process that was left",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    const check = await leakCheck(50);
    const child = new Deno.Command("sleep", { args: ["60"], stdin: "null" }).spawn();
    assert(isAlive(child.pid));
    const error = await assertRejects(() => check.finish(), Error);
    assertStringIncludes(error.message, `process ${child.pid}`);
    child.kill("SIGKILL");
    await child.status;
    assert(!isAlive(child.pid));
    await check.finish();
  },
});

Deno.test({
  name: "leakCheck() names a descriptor that was left",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    const check = await leakCheck(50);
    const listener = Deno.listen({ port: 0 });
    await assertRejects(() => check.finish(), Error, "1 more socket");
    listener.close();
    await check.finish();
  },
});

Deno.test(
  "descendants() sees grandchildren",
  { ignore: Deno.build.os !== "linux" },
  noLeaks(async () => {
    const child = new Deno.Command("sh", { args: ["-c", "sleep 60; true"], stdin: "null" }).spawn();
    await condition(() => descendants(child.pid).length === 1, "the shell has started its child");
    const all = descendants().map((it) => it.command).filter((it) => /sleep 60/.test(it));
    assertEquals(all.length, 2);
    for (const { pid } of [...descendants(child.pid), child]) Deno.kill(pid, "SIGKILL");
    await child.status;
    assert(openDescriptors().size > 0);
  }),
);

Deno.test(
  "relay() delays each way, keeps the order and counts",
  noLeaks(async () => {
    const near = relayCommand(["cat"], 500);
    const writer = near.writable.getWriter();
    const reader = near.readable.getReader();
    const start = performance.now();
    for (const part of ["a", "bc", "d"]) await writer.write(new TextEncoder().encode(part));
    let got = "";
    while (got.length < 4) got += new TextDecoder().decode((await reader.read()).value);
    const took = performance.now() - start;
    assertEquals(got, "abcd");
    assert(took >= 990 && took < 2_900, `one round trip of a second, not three: ${took}`);
    assertEquals(near.counts.turns, 0);
    await writer.write(new TextEncoder().encode("e"));
    assertEquals((await reader.read()).value, new TextEncoder().encode("e"));
    assertEquals(near.counts, { sent: 5, received: 5, writes: 4, turns: 1 });
    await writer.close();
    assert((await reader.read()).done);
    await near.closed;
  }),
);

Deno.test("relay() aborts both ways", async () => {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  let reason: unknown;
  const near = relay({ readable, writable }, { onAbort: (it) => reason = it });
  near.abort("enough");
  await near.closed;
  assertEquals(reason, "enough");
  await assertRejects(() => text(near.readable));
});

const missing = await sshdMissing();
const title = (name: string): string => missing === undefined ? name : `${name} [${missing}]`;
const ignore = missing !== undefined && Deno.env.get("CI") !== "true";

Deno.test(
  title("startSshd() serves commands in the wanted shell, after a banner"),
  { ignore },
  noLeaks(async () => {
    await using sshd = await startSshd({ shell: "dash", banner: "It's\nwelcome\n", env: { HOME: "/proc/nowhere" } });
    const { code, out } = await ssh(sshd.sshArgs, "readlink /proc/$$/exe; echo $HOME 'a  b'");
    assertEquals(code, 0);
    assertStringIncludes(out, "It's\nwelcome\n");
    assertStringIncludes(out, "/dash\n/proc/nowhere a  b\n");
  }),
);

Deno.test(
  title("startSshd() offers exactly the wanted interpreters"),
  { ignore },
  noLeaks(async () => {
    await using sshd = await startSshd({ interpreters: { deno: Deno.execPath() } });
    const { out } = await ssh(sshd.sshArgs, "command -v deno; command -v node; deno eval 'console.log(1 + 1)'");
    assert(/^\S+\/bin\/deno\n2\n$/.test(out), out);
  }),
);

Deno.test(
  title("startSshd() can mislead a client"),
  { ignore },
  noLeaks(async () => {
    await using sshd = await startSshd();
    assertEquals((await ssh(sshd.sshArgs, "exit 3")).code, 3);
    assertStringIncludes(
      (await ssh(await sshd.sshArgsWith({ hostKey: "wrong" }), "true")).err,
      "HOST IDENTIFICATION HAS CHANGED",
    );
    assertStringIncludes(
      (await ssh(await sshd.sshArgsWith({ hostKey: "unknown" }), "true")).err,
      "Host key verification failed",
    );
    assertStringIncludes((await ssh(await sshd.sshArgsWith({ identity: "wrong" }), "true")).err, "Permission denied");
  }),
);

Deno.test(
  title("killSessions() drops the link"),
  { ignore },
  noLeaks(async () => {
    await using sshd = await startSshd();
    const child = new Deno.Command("ssh", {
      args: [...sshd.sshArgs, "wonderland", "echo up; cat"],
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    const reader = child.stdout.getReader();
    assertEquals(new TextDecoder().decode((await reader.read()).value), "up\n");
    sshd.killSessions();
    assertEquals((await child.status).code, 255);
    assert((await reader.read()).done);
    await child.stdin.close().catch(() => {});
    await condition(() => sshd.sessions().length === 0, "the command has ended, too");
  }),
);
