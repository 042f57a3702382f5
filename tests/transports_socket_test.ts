// Connection.fromTcp(), fromUnix() and fromSocket(): what is particular to sockets. What all transports have in common is in
// transports_conformance_test.ts.

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { EventEmitter } from "node:events";
import type { SocketLike } from "../mod.ts";
import { biosCommand, Connection } from "../mod.ts";
import { firstOf } from "../runtime/sockets.ts";
import { bundled } from "./support/bundle.ts";
import { condition, noLeaks } from "./support/leaks.ts";
import { onRemote } from "./support/remote.ts";
import type { Runtime } from "./support/runtimes.ts";
import { testEachRuntime } from "./support/runtimes.ts";

const serve = async (listener: Deno.Listener): Promise<void> => {
  await Connection.fromSocket(await listener.accept()).wait();
};

Deno.test(
  "fromTcp() reaches fromSocket() over IPv4, IPv6 and by name",
  noLeaks(async () => {
    for (
      const [listening, dialled] of [["127.0.0.1", "127.0.0.1"], ["::1", "::1"], ["::1", "[::1]"], [
        "127.0.0.1",
        "localhost",
      ]]
    ) {
      using listener = Deno.listen({ hostname: listening!, port: 0 });
      const serving = serve(listener);
      const conn = await Connection.fromTcp(dialled!, listener.addr.port).ready();
      assertEquals(await conn.call((n: number) => n + 1, 41), 42);
      await conn.close();
      await serving;
    }
  }),
);

Deno.test(
  "fromUnix() reaches fromSocket()",
  noLeaks(async () => {
    const path = await Deno.makeTempFile();
    await Deno.remove(path);
    using listener = Deno.listen({ transport: "unix", path });
    const serving = serve(listener);
    const conn = Connection.fromUnix(path);
    assertEquals(await conn.call((n: number) => n + 1, 41), 42);
    await conn.close();
    await serving;
    await Deno.remove(path);
  }),
);

Deno.test("fromTcp() and fromUnix() reject ready() with the system's reason", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  const refused = await assertRejects(
    () => Connection.fromTcp("localhost", port).ready(),
    Deno.errors.ConnectionRefused,
  );
  assert(refused.message.startsWith(`Cannot connect to localhost:${port}: Connection refused`), refused.message);
  assertEquals((refused as Error & { code?: string }).code, "ECONNREFUSED");
  const missing = await assertRejects(() => Connection.fromUnix("/nowhere/socket").ready(), Deno.errors.NotFound);
  assert(missing.message.startsWith("Cannot connect to /nowhere/socket: No such file"), missing.message);
  assertEquals((missing as Error & { code?: string }).code, "ENOENT");
});

Deno.test("fromTcp(), fromUnix() and fromSocket() refuse what makes no sense", () => {
  assertThrows(() => Connection.fromTcp("", 1), TypeError, "without a host");
  for (const port of [0, -1, 1.5, 65536, NaN, "80" as unknown as number]) {
    assertThrows(() => Connection.fromTcp("127.0.0.1", port), RangeError, `Cannot connect to port ${port}`);
  }
  assertThrows(() => Connection.fromUnix(""), TypeError, "without a path");
  assertThrows(() => Connection.fromSocket({} as Deno.Conn), TypeError, "not a socket");
  assertThrows(() => Connection.fromTcp("127.0.0.1", 1, { timeOut: 1 } as object), TypeError, `"timeOut"`);
});

Deno.test(
  "the one who dials accepts no calls, the one who is dialled does",
  noLeaks(async () => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const accepted = listener.accept().then((socket) => Connection.fromSocket(socket));
    const conn = await Connection.fromTcp("127.0.0.1", listener.addr.port).ready();
    const other = await accepted;
    await assertRejects(() => Promise.resolve(other.call((n: number) => n, 1)), Error, "acceptCalls");
    assertEquals(await conn.call((n: number) => n, 1), 1);
    await conn.close();
    await other.close();
  }),
);

Deno.test(
  "fromSocket() takes sockets of node:net under Deno",
  noLeaks(async () => {
    const { connect, createServer } = await import("node:net");
    const accepted = Promise.withResolvers<Connection>();
    const server = createServer((socket) => accepted.resolve(Connection.fromSocket(socket)));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as { port: number };
    const conn = Connection.fromSocket(connect(port, "127.0.0.1"), { acceptCalls: false });
    assertEquals(await conn.call((n: number) => n + 1, 1), 2);
    const other = await accepted.promise;
    await conn.close();
    await other.close();
    await new Promise((resolve) => server.close(resolve));
  }),
);

/** Stands for a socket of Node's that connects, or does not, when the test says so. */
class FakeSocket extends EventEmitter {
  destroyed = false;
  ref(): void {}
  unref(): void {}
  pause(): void {}
  resume(): void {}
  write(): boolean {
    return true;
  }
  end(): void {}
  destroy(): void {
    this.destroyed = true;
  }
}

/** Sockets that are made when their turn comes, and whichever is taken. */
function attempts(count: number): { made: FakeSocket[]; first: Promise<SocketLike>; controller: AbortController } {
  const made: FakeSocket[] = [];
  const controller = new AbortController();
  const make = () => {
    const socket = new FakeSocket();
    made.push(socket);
    return socket;
  };
  const wanted = { take: (socket: SocketLike) => socket, signal: controller.signal };
  return { made, controller, first: firstOf(Array.from({ length: count }, () => make), "connect", wanted) };
}

Deno.test("all addresses of a host are tried in turn, and the first one to connect is taken", async () => {
  const { made, first } = attempts(4);
  assertEquals(made.length, 1);
  made[0]!.emit("error", new Error("no route"));
  assertEquals(made.length, 2); // at once
  await condition(() => made.length === 4, "the next ones are tried when one takes long");
  made[2]!.emit("error", new Error("refused"));
  made[1]!.emit("connect");
  assertEquals(await first, made[1] as SocketLike);
  assertEquals(made.map((socket) => socket.destroyed), [false, false, false, true]);
  made[3]!.emit("error", new Error("late"));
  made[1]!.emit("error", new Error("not of connecting"));
});

Deno.test("when no address of a host connects, the error has all reasons and the code of the first", async () => {
  const { made, first } = attempts(2);
  made[0]!.emit("error", Object.assign(new Error("connect ENETUNREACH ::1"), { code: "ENETUNREACH" }));
  made[1]!.emit("error", Object.assign(new Error("connect ECONNREFUSED 127.0.0.1"), { code: "ECONNREFUSED" }));
  const error = await assertRejects(() => first, AggregateError);
  assertEquals(error.message, "connect ENETUNREACH ::1, connect ECONNREFUSED 127.0.0.1");
  assertEquals((error as Error & { code?: string }).code, "ENETUNREACH");

  const given = attempts(2);
  given.controller.abort(new Error("not wanted"));
  await assertRejects(() => given.first, Error, "not wanted");
  assertEquals(given.made.map((socket) => socket.destroyed), [true]);
});

/** Accepts one after the other, as long as it listens. */
async function serveAll(listener: Deno.Listener<Deno.Conn, Deno.Addr>): Promise<void> {
  const ends: Promise<void>[] = [];
  for await (const socket of listener) ends.push(Connection.fromSocket(socket).wait());
  await Promise.all(ends);
}

await testEachRuntime(
  "a booted end dials over TCP and to Unix sockets",
  noLeaks(async ({ path: program }: Runtime) => {
    const path = await Deno.makeTempFile();
    await Deno.remove(path);
    const tcp = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const unix = Deno.listen({ transport: "unix", path });
    const serving = [serveAll(tcp), serveAll(unix)];
    await onRemote(biosCommand({ runtime: program }), async (conn) => {
      for (const dial of [`fromTcp("localhost", ${tcp.addr.port})`, `fromUnix(${JSON.stringify(path)})`]) {
        const hop = `
          const { Connection } = await import("@x/across");
          const next = Connection.${dial};
          const result = await next.call((n) => 2 * n, 21);
          await next.close();
          result`;
        assertEquals(await conn.execute<number>(hop), 42);
      }
      const refused = `(await import("@x/across")).Connection.fromUnix("/nowhere/at-all").ready()`;
      await assertRejects(async () => await conn.execute(refused), Error, "Cannot connect to /nowhere/at-all: ");
    });
    tcp.close();
    unix.close();
    await Promise.all(serving);
    await Deno.remove(path).catch(() => {});
  }),
);

const idle = await bundled("socket_idle");

await testEachRuntime(
  "an idle connection over TCP does not keep a program that dialled",
  noLeaks(async ({ name, path }: Runtime) => {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const serving = serveAll(listener);
    const { code, stdout, stderr } = await new Deno.Command(path, {
      args: [...(name === "deno" ? ["run", "-A", "--no-config"] : []), idle, String(listener.addr.port)],
      stdin: "null",
    }).output();
    assertEquals([code, new TextDecoder().decode(stdout).trim()], [0, "42"], new TextDecoder().decode(stderr));
    listener.close();
    await serving;
  }),
  ({ name, version }) => name !== "deno" || version.startsWith("2.9"),
);
