/**
 * What wires to commands must do, on whatever runtime starts them: under Deno these are tests, elsewhere `tests/fixtures/wire_commands.ts` runs them.
 *
 * @module
 */

import assert from "node:assert/strict";
import { realpathSync } from "node:fs";
import process from "node:process";
import { commandWire } from "../../transports/command.ts";
import type { Wire, WireExit } from "../../transports/wire.ts";
import { receive, send, sendMany } from "./wires.ts";

const sh = (script: string, init = {}): Wire => commandWire(["sh", "-c", script], { stderr: "null", ...init });

/** Ends a wire and waits for the child's end. */
async function finish(wire: Wire): Promise<WireExit | undefined> {
  await wire.end();
  return await wire.closed;
}

/** The first line that comes, as a number. */
async function readPid(inbox: ReturnType<typeof receive>): Promise<number> {
  for (let size = 1; !inbox.text().includes("\n"); size++) await inbox.until(size);
  return Number(inbox.text().split("\n")[0]);
}

/** How long something takes, in ms. */
async function time(what: Promise<unknown>): Promise<number> {
  const start = performance.now();
  await what;
  return performance.now() - start;
}

const output = async (script: string, init = {}): Promise<string> => {
  const wire = sh(script, init);
  const inbox = receive(wire);
  await finish(wire);
  return inbox.text();
};

/** The scenarios by name. Each throws when something is wrong. */
export const scenarios: Readonly<Record<string, () => Promise<void>>> = {
  "carries single bytes, and 64 MiB both ways from one buffer": async () => {
    const wire = commandWire(["cat"]);
    const inbox = receive(wire);
    for (const letter of "across") await send(wire, letter);
    await inbox.until(6);
    assert.equal(inbox.text(), "across");
    assert.deepEqual(await finish(wire), { code: 0, signal: null, stderr: "" });
    for (const chunk of [65536, 100_000]) {
      const other = commandWire(["cat"]);
      const back = receive(other);
      const size = 32 << 20;
      const sum = await sendMany(other, size, chunk);
      await finish(other);
      assert.equal(await back.ended, undefined);
      assert.equal(back.size(), size);
      assert.equal(back.sum(), sum);
    }
  },
  "end() closes the child's stdin only": async () => {
    const wire = sh("cat >/dev/null; echo that was all");
    const inbox = receive(wire);
    await send(wire, "some text");
    await wire.end();
    await inbox.ended;
    assert.equal(inbox.text(), "that was all\n");
    assert.equal((await wire.closed)?.code, 0);
    await wire.end();
    wire.abort();
  },
  "delivers all that a child wrote before it exited": async () => {
    const wire = sh("head -c 3000000 /dev/zero");
    const inbox = receive(wire);
    assert.equal((await wire.closed)?.code, 0);
    assert.equal(await inbox.ended, undefined);
    assert.equal(inbox.size(), 3_000_000);
  },
  "abort() kills a child that does not read, with a write under way": async () => {
    const wire = commandWire(["sleep", "1000"]);
    const inbox = receive(wire);
    const writing = sendMany(wire, 10 << 20).catch(() => {});
    const reason = new Error("enough");
    wire.abort(reason);
    wire.abort();
    assert.equal(await inbox.ended, reason);
    assert.deepEqual(await wire.closed, { code: null, signal: "SIGKILL", stderr: "" });
    await writing;
    assert.equal(wire.describe?.(), `Command "sleep" was killed by SIGKILL`);
  },
  "abort() kills a child that writes and ignores signals": async () => {
    const wire = sh("trap '' TERM INT HUP; while :; do echo y; done");
    const inbox = receive(wire);
    await inbox.until(100_000);
    wire.abort();
    await inbox.ended;
    assert.equal((await wire.closed)?.signal, "SIGKILL");
    assert.equal(inbox.late, false);
  },
  "abort() before start() leaves nothing": async () => {
    const wire = commandWire(["cat"]);
    wire.abort();
    assert.equal((await wire.closed)?.signal, "SIGKILL");
  },
  "a child that is killed ends the wire, and writes reject": async () => {
    const wire = sh("echo $$; exec cat");
    const inbox = receive(wire);
    process.kill(await readPid(inbox), "SIGKILL");
    assert.equal(await inbox.ended, undefined);
    assert.equal((await wire.closed)?.signal, "SIGKILL");
    await assert.rejects(async () => {
      await sendMany(wire, 10 << 20);
    });
  },
  "says the exit status and the end of stderr": async () => {
    const wire = sh("head -c 20000 /dev/zero | tr '\\0' x >&2; echo 'äöü' >&2; echo that is why >&2; exit 3");
    receive(wire);
    const exit = await wire.closed;
    assert.equal(exit?.code, 3);
    assert.equal(exit.signal, null);
    assert.equal(exit.stderr.length, 8188);
    assert.match(exit.stderr, /^x+äöü\nthat is why$/);
    assert.equal(wire.describe?.(), `Command "sh" exited with status 3: ${exit.stderr}`);
  },
  "does not wait for a grandchild that holds stdout": async () => {
    const wire = sh("sleep 1000 & echo $!; echo 'the last word'; exit 5");
    const inbox = receive(wire);
    const pid = await readPid(inbox);
    try {
      assert.ok(await time(wire.closed) < 2000);
      assert.equal((await wire.closed)?.code, 5);
      assert.match(inbox.text(), /the last word/);
    } finally {
      process.kill(pid, "SIGKILL");
    }
  },
  "does not wait for a grandchild that goes on writing": async () => {
    const wire = sh("yes & echo $!; exit 0");
    const inbox = receive(wire);
    await readPid(inbox);
    assert.ok(await time(wire.closed) < 4000);
    assert.equal((await wire.closed)?.code, 0);
  },
  "a command that is not there: says so": async () => {
    const wire = commandWire(["no-such-program"]);
    const inbox = receive(wire);
    await assert.rejects(async () => await wire.opened, /^Error: Cannot start "no-such-program": /);
    assert.match(String(await inbox.ended), /Cannot start "no-such-program"/);
    assert.equal(await wire.closed, undefined);
    await wire.end();
    wire.abort();
    wire.hold(false);
  },
  "a directory that is not there: says so": async () => {
    const wire = commandWire(["cat"], { cwd: "/no/such/directory" });
    await assert.rejects(async () => await wire.opened, /Cannot start "cat" in \/no\/such\/directory: /);
    assert.equal(await wire.closed, undefined);
  },
  "cwd, env and clearEnv": async () => {
    const tmp = realpathSync("/tmp");
    process.env.ACROSS_OURS = "ours";
    assert.equal(await output("pwd", { cwd: tmp }), `${tmp}\n`);
    assert.equal(await output("pwd", { cwd: new URL(`file://${tmp}`) }), `${tmp}\n`);
    assert.equal(await output("echo $ACROSS_OURS $ACROSS_THEIRS", { env: { ACROSS_THEIRS: "a b" } }), "ours a b\n");
    const PATH = process.env.PATH;
    assert.equal(await output("echo $ACROSS_OURS $ACROSS_THEIRS", { env: { PATH }, clearEnv: true }), "\n");
    delete process.env.ACROSS_OURS;
  },
  "stderr into a stream, which is closed at its end": async () => {
    let size = 0;
    let closed = false;
    const stderr = new WritableStream<Uint8Array>({
      write: (chunk) => void (size += chunk.length),
      close: () => void (closed = true),
    });
    const wire = sh("head -c 1000000 /dev/zero >&2; echo the end >&2", { stderr });
    receive(wire);
    assert.match((await wire.closed)?.stderr ?? "", /the end$/);
    assert.equal(size, 1_000_008);
    assert.ok(closed);
  },
  "stderr into a stream that breaks: the child goes on": async () => {
    const stderr = new WritableStream<Uint8Array>({ write: () => Promise.reject(new Error("broken")) });
    const wire = sh("head -c 1000000 /dev/zero >&2; echo done", { stderr });
    const inbox = receive(wire);
    assert.equal((await wire.closed)?.code, 0);
    assert.equal(inbox.text(), "done\n");
  },
  "stderr into a stream that stalls: abort() ends it all": async () => {
    const stderr = new WritableStream<Uint8Array>({ write: () => new Promise(() => {}) });
    const wire = sh("head -c 1000000 /dev/zero >&2; echo done", { stderr });
    const inbox = receive(wire);
    wire.abort();
    await inbox.ended;
    assert.equal((await wire.closed)?.signal, "SIGKILL");
  },
  "a child and its pipes can be held and let go at any time": async () => {
    const wire = commandWire(["cat"]);
    wire.hold(false);
    wire.hold(true);
    const inbox = receive(wire);
    await send(wire, "held");
    await inbox.until(4);
    wire.hold(false);
    wire.hold(true);
    await finish(wire);
    wire.hold(false);
    wire.hold(true);
  },
};
