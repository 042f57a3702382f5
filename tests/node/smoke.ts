// The core as the dialling side in Node and Bun: tests/node_test.ts bundles this file and runs it there with node:test. It covers what differs
// between runtimes (children, pipes, hooks); what does not is tested under Deno.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { rmSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { tmpdir } from "node:os";
import process from "node:process";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { biosCommand, Connection, DisconnectError, getConnection, OperationError, workerUrl } from "../../mod.ts";

const fixture = process.env.ACROSS_FIXTURE ?? "";
const deno = process.env.ACROSS_DENO ?? "";

/** Far ends: an interpreter like this one, and Deno. */
const RUNTIMES: readonly (readonly [name: string, path: string])[] = [["itself", process.execPath], ["deno", deno]];

interface Plain {
  twice(list: number[]): number[];
  fail(text: string): never;
  each<T, R>(list: T[], callback: (item: T) => Promise<R>): Promise<R[]>;
  Counter: new (start?: number) => { add(n: number): number };
}

/** A promise of the platform: node:assert takes no other, and a result of across is a chain, which is callable. */
async function settled<T>(result: PromiseLike<T>): Promise<T> {
  return await result;
}

async function connected(path: string, body: (conn: Connection) => Promise<void>): Promise<void> {
  const conn = Connection.fromCommand(biosCommand({ runtime: path }));
  try {
    await body(conn);
  } finally {
    await conn.close();
  }
}

for (const [name, path] of RUNTIMES) {
  test(`functions travel by source, values both ways (${name})`, () =>
    connected(path, async (conn) => {
      assert.equal(await conn.call((a: number, b: number) => a + b, 40, 2), 42);
      const value = {
        map: new Map([[1, new Set(["x"])]]),
        date: new Date(5),
        big: 12345678901234567890n,
        list: [-0, NaN, , null],
      };
      assert.deepEqual(await conn.call((it: unknown) => it, value), value);
      const bytes = new Uint8Array(1 << 20).map((_, index) => index);
      assert.deepEqual(await conn.call((it: Uint8Array) => it, bytes), bytes);
    }));

  test(`exported modules, callbacks, classes and errors (${name})`, () =>
    connected(path, async (conn) => {
      const plain: Plain = await import(fixture);
      await conn.export(fixture);
      assert.deepEqual(await conn.call(plain.twice, [1, 2, 3]), [2, 4, 6]);
      assert.deepEqual(
        await conn.call(
          plain.each as (l: number[], c: (n: number) => Promise<number>) => Promise<number[]>,
          [1, 2],
          async (n: number) => {
            await Promise.resolve();
            return n + 1;
          },
        ),
        [2, 3],
      );
      const counter = await conn.callRef(plain.Counter, 5);
      assert.equal(await counter.add(2), 7);
      await assert.rejects(
        settled(conn.call(plain.fail, "no")),
        (error) => error instanceof RangeError && error.message === "no" && /plain\.mjs/.test(error.stack ?? ""),
      );
      assert.equal(await conn.execute("a + await Promise.resolve(1)", { a: 1 }), 2);
    }));

  test(`many calls in flight, issued before the handshake (${name})`, () =>
    connected(path, async (conn) => {
      const square = (n: number): number => n * n;
      const results = await Promise.all(Array.from({ length: 500 }, (_, n) => conn.call(square, n)));
      assert.deepEqual(results, results.map((_, n) => n * n));
    }));

  test(`what the far side prints does no harm (${name})`, () =>
    connected(path, async (conn) => {
      assert.equal(
        await conn.call(() => {
          for (let i = 0; i < 1000; i++) console.log(""); // to our stderr
          return 1;
        }),
        1,
      );
    }));

  test(`a far end that dies rejects what is in flight (${name})`, async () => {
    const conn = Connection.fromCommand(biosCommand({ runtime: path }));
    await assert.rejects(
      settled(conn.call(() => (globalThis as unknown as { process: { exit(code: number): void } }).process.exit(3))),
      DisconnectError,
    );
    await conn.close().catch(() => {});
  });
}

test("a program that is missing is an error of ready()", async () => {
  const conn = Connection.fromCommand(["/nowhere/at-all"]);
  await assert.rejects(conn.ready());
  await conn.close();
});

test("the peer may not call back on its own", () =>
  connected(process.execPath, async (conn) => {
    await conn.execute(`await import("@x/across"); 0`); // calls are followed across await from here on
    await assert.rejects(
      settled(conn.execute(`(await import("@x/across")).getConnection().call(() => 1)`)),
      (error: Error) => /acceptCalls/.test(error.message),
    );
    assert.throws(() => getConnection(), Error);
    assert.equal(new OperationError("x").name, "OperationError");
  }));

test("a worker that has nothing of its own is a far end", async () => {
  const conn = Connection.fromPort(new Worker(workerUrl()), { acceptCalls: false });
  const plain: Plain = await import(fixture);
  await conn.export(fixture);
  assert.deepEqual(await conn.call(plain.twice, [1, 2, 3]), [2, 4, 6]);
  assert.equal(await conn.execute(`typeof (await import("@x/across")).Connection`), "function");
  await assert.rejects(
    settled(conn.call(plain.fail, "no")),
    (error) => error instanceof RangeError && error.message === "no",
  );
  await conn.close();
  const broken = Connection.fromPort(new Worker(new URL("data:text/javascript,throw new Error('no such luck')")));
  await assert.rejects(broken.ready(), /The worker failed: .*no such luck/);
  await broken.close();
});

for (const kind of ["TCP", "a Unix socket"]) {
  test(`fromSocket() is reached over ${kind}`, async () => {
    const ends: Connection[] = [];
    const server = createServer((socket: Socket) => ends.push(Connection.fromSocket(socket)));
    const path = `${tmpdir()}/across-${process.pid}.sock`;
    await new Promise<void>((resolve) =>
      kind === "TCP" ? server.listen(0, "localhost", resolve) : server.listen(path, resolve)
    );
    const conn = kind === "TCP"
      ? Connection.fromTcp("localhost", (server.address() as AddressInfo).port)
      : Connection.fromUnix(path);
    assert.equal(await conn.call((n: number) => n + 1, 41), 42);
    await conn.close();
    for (const end of ends) await end.close();
    await new Promise((resolve) => server.close(resolve));
    const failed = kind === "TCP"
      ? Connection.fromTcp("localhost", (server.address() as AddressInfo | null)?.port ?? 1)
      : Connection.fromUnix(path);
    await assert.rejects(failed.ready(), /^Error: Cannot connect to .*(?:ECONNREFUSED|ENOENT|Failed to connect)/);
    rmSync(path, { force: true });
  });
}

test("nothing is left behind", { skip: process.platform !== "linux" }, () => {
  const children = execFileSync("ps", ["-o", "pid=,stat=,args=", "--ppid", String(process.pid)], { encoding: "utf8" });
  assert.deepEqual(children.trim().split("\n").filter((line) => !line.includes("ps -o")), []);
});
