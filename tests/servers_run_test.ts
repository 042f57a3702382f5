// runTcp() and runUnix(): where they listen and where they refuse to, how many they take, and how they end.

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { Connection } from "../mod.ts";
import type { RunInit } from "../servers/mod.ts";
import { LocalConnectionHandler, runTcp, runUnix } from "../servers/mod.ts";
import { withAuthority } from "./support/certificates.ts";
import { condition, noLeaks } from "./support/leaks.ts";
import { tcpServer, unixServer } from "./support/servers.ts";

const SECRET = "a secret of these tests";

/** Asks a server for something small. */
async function ask(conn: Connection): Promise<void> {
  assertEquals(await conn.call((n: number) => n + 1, 41), 42);
  await conn.close();
}

/** Checks that a server does not even begin to listen. */
async function refuses(host: string, init: RunInit, message: string): Promise<void> {
  let listened = false;
  const running = runTcp(host, 0, { ...init, signal: AbortSignal.timeout(5_000), onListen: () => listened = true });
  await assertRejects(() => running, Error, message);
  assert(!listened);
}

Deno.test(
  "port 0 is any port, of which onListen tells once",
  noLeaks(async () => {
    const seen: unknown[] = [];
    const controller = new AbortController();
    const { promise, resolve } = Promise.withResolvers<void>();
    const running = runTcp("127.0.0.1", 0, {
      signal: controller.signal,
      onListen(address) {
        seen.push(address);
        resolve();
      },
    });
    await promise;
    const [address] = seen as [{ port: number }];
    assert(address.port > 0);
    assertEquals(seen, [{ transport: "tcp", hostname: "127.0.0.1", port: address.port }]);
    await ask(Connection.fromTcp("127.0.0.1", address.port));
    controller.abort();
    await running;
    await assertRejects(() => Deno.connect({ port: address.port }), Deno.errors.ConnectionRefused);
  }),
);

Deno.test(
  "listening beyond loopback is refused without a secret or required client certificates",
  noLeaks(async () => {
    const tls = { cert: "", key: "" };
    for (const host of ["0.0.0.0", "::", "[::]", "192.0.2.1", "::ffff:192.0.2.1"]) {
      await refuses(host, {}, "pass a secret, or tls with requestCert and caCerts, or insecure: true");
    }
    await refuses("0.0.0.0", { tls }, "pass a secret");
    await refuses("0.0.0.0", { tls: { ...tls, requestCert: true } }, "pass a secret");
    await refuses("0.0.0.0", { tls: { ...tls, caCerts: ["x"] } }, "pass a secret");
    await refuses("0.0.0.0", { tls: { ...tls, requestCert: true, caCerts: [] } }, "pass a secret");
    await refuses("0.0.0.0", { insecure: false, handler: new LocalConnectionHandler() }, "pass a secret");
  }),
);

Deno.test(
  "with a secret, of the server or of its handler, or insecure: true, one may listen anywhere",
  noLeaks(async () => {
    const handler = new LocalConnectionHandler({ secret: SECRET });
    for (const [init, secret] of [[{ secret: SECRET }, SECRET], [{ handler }, SECRET], [{ insecure: true }]] as const) {
      const server = await tcpServer(init, "0.0.0.0");
      await ask(Connection.fromTcp("127.0.0.1", server.port, secret ? { secret } : {}));
      await server.stop();
    }
    await handler.close();
  }),
);

Deno.test(
  "the address :: takes IPv4 and IPv6",
  noLeaks(async () => {
    const server = await tcpServer({ secret: SECRET }, "::");
    await ask(Connection.fromTcp("127.0.0.1", server.port, { secret: SECRET }));
    await ask(Connection.fromTcp("::1", server.port, { secret: SECRET }));
    await server.stop();
  }),
);

Deno.test(
  "all loopback addresses and their name need no secret",
  noLeaks(async () => {
    for (const host of ["127.0.0.1", "127.0.0.2", "::1", "[::1]", "localhost"]) {
      const server = await tcpServer({}, host);
      await ask(Connection.fromTcp(host, server.port));
      await server.stop();
    }
  }),
);

Deno.test(
  "a port can be listened on again at once, with connections of before still there, but not by two at a time",
  noLeaks(async () => {
    const handler = new LocalConnectionHandler();
    const server = await tcpServer({ handler });
    const old = Connection.fromTcp("127.0.0.1", server.port);
    assertEquals(await old.call(() => 1), 1);
    await assertRejects(() => runTcp("127.0.0.1", server.port), Deno.errors.AddrInUse);
    await server.stop();
    const controller = new AbortController();
    const { promise, resolve } = Promise.withResolvers<unknown>();
    const again = runTcp("127.0.0.1", server.port, { signal: controller.signal, onListen: resolve });
    await promise;
    await ask(Connection.fromTcp("127.0.0.1", server.port));
    assertEquals(await old.call(() => 2), 2); // the handler was not the server's to close
    controller.abort();
    await again;
    await handler.close();
    await old.close();
  }),
);

Deno.test(
  "the end of the server says goodbye to the clients of its own handler",
  noLeaks(async () => {
    const server = await tcpServer();
    const conn = Connection.fromTcp("127.0.0.1", server.port);
    assertEquals(await conn.call(() => 1), 1);
    await server.stop();
    await conn.wait();
    await conn.close();
  }),
);

Deno.test(
  "TLS with required client certificates may listen anywhere, and takes nobody else",
  noLeaks(() =>
    withAuthority(async ({ ca, sign }) => {
      const [server, client] = await Promise.all([sign(["DNS:localhost", "IP:127.0.0.1"]), sign(["DNS:client"])]);
      const other = await withAuthority((stranger) => stranger.sign(["DNS:client"]));
      const running = await tcpServer({ tls: { ...server, requestCert: true, caCerts: [ca] } }, "0.0.0.0");
      const dial = (init: object) => Connection.fromTls("localhost", running.port, { caCerts: [ca], ...init });
      await ask(dial(client));
      for (const init of [{}, other]) {
        const conn = dial(init);
        await assertRejects(() => conn.ready(), Error);
        await conn.close();
      }
      const plain = Connection.fromTcp("localhost", running.port, { timeout: 2_000 });
      await assertRejects(() => plain.ready(), Error);
      await plain.close();
      await running.stop();
    })
  ),
);

Deno.test(
  "TLS and a secret go together, and client certificates are not asked for then",
  noLeaks(() =>
    withAuthority(async ({ ca, sign }) => {
      const running = await tcpServer({ tls: await sign(["DNS:localhost"]), secret: SECRET }, "0.0.0.0");
      await ask(Connection.fromTls("localhost", running.port, { caCerts: [ca], secret: SECRET }));
      const conn = Connection.fromTls("localhost", running.port, { caCerts: [ca], secret: "another" });
      await assertRejects(() => conn.ready(), Error, "Cannot authenticate the peer");
      await conn.close();
      await running.stop();
    })
  ),
);

Deno.test(
  "a signal that is aborted already keeps the server from listening",
  noLeaks(async () => {
    const init = { signal: AbortSignal.abort(), onListen: () => assert(false) };
    await runTcp("127.0.0.1", 0, init);
    await runUnix("/nowhere/at-all", init);
  }),
);

Deno.test("arguments are checked", async () => {
  await assertRejects(() => runTcp("", 0), TypeError, "without a host");
  await assertRejects(() => runTcp("127.0.0.1", 65536), RangeError, "port 65536");
  await assertRejects(() => runTcp("127.0.0.1", 0, { maxConnections: 0 }), RangeError, "maxConnections");
  await assertRejects(() => runTcp("127.0.0.1", 0, { secret: "" }), RangeError, "empty secret");
  await assertRejects(() => runTcp("127.0.0.1", 0, { sercet: "x" } as never), TypeError, '"sercet"');
  await assertRejects(() => runUnix("", {}), TypeError, "without a path");
  await assertRejects(() => runUnix("/tmp/x", { tls: { cert: "", key: "" } }), TypeError, "TLS");
});

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  for (const handler of ["LocalConnectionHandler", "ProcessConnectionHandler", "BiosConnectionHandler"]) {
    Deno.test(
      `${signal} ends a server, after its clients heard a goodbye (${handler})`,
      noLeaks(async () => {
        const server = new Deno.Command(Deno.execPath(), {
          args: ["run", "-A", new URL("./fixtures/servers/server.ts", import.meta.url).pathname, handler],
          stdout: "piped",
        }).spawn();
        const lines = server.stdout.pipeThrough(new TextDecoderStream()).getReader();
        const conn = Connection.fromTcp("127.0.0.1", Number((await lines.read()).value));
        assertEquals(await conn.call(() => 1), 1);
        server.kill(signal);
        await conn.wait();
        await conn.close();
        assertEquals((await lines.read()).value, "ended in peace\n");
        assertEquals((await server.status).code, 0);
        await lines.cancel();
      }),
    );
  }
}

Deno.test(
  "more connections than maxConnections are closed at once, and there is room again when one has ended",
  noLeaks(async () => {
    const server = await tcpServer({ maxConnections: 2 });
    const dial = () => Connection.fromTcp("127.0.0.1", server.port);
    const [one, two] = [dial(), dial()];
    await Promise.all([one.ready(), two.ready()]);
    const three = dial();
    await assertRejects(() => three.ready(), Error);
    await one.close();
    await condition(async () => {
      const four = dial();
      try {
        await four.ready();
        return true;
      } finally {
        await four.close().catch(() => {});
      }
    }, "there is room again");
    await two.close();
    await server.stop();
  }),
);

/** Runs a test with a folder of its own. */
function inFolder(body: (folder: string) => Promise<void>): () => Promise<void> {
  return noLeaks(async () => {
    const folder = await Deno.makeTempDir();
    try {
      await body(folder);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
}

Deno.test(
  "a Unix socket has the mode 0600, and is gone at the end",
  inFolder(async (folder) => {
    const path = `${folder}/socket`;
    const server = await unixServer(path);
    assertEquals(server.address, { transport: "unix", hostname: path, port: 0 });
    assertEquals((await Deno.lstat(path)).mode! & 0o777, 0o600);
    await ask(Connection.fromUnix(path));
    await server.stop();
    await assertRejects(() => Deno.lstat(path), Deno.errors.NotFound);
  }),
);

Deno.test(
  "a Unix socket that nobody listens on any more is replaced",
  inFolder(async (folder) => {
    const path = `${folder}/socket`;
    const dead = new Deno.Command(Deno.execPath(), {
      args: [
        "eval",
        `Deno.listen({ transport: "unix", path: Deno.args[0] }); console.log("up"); setInterval(() => {}, 9e3)`,
        path,
      ],
      stdout: "piped",
    }).spawn();
    const reader = dead.stdout.getReader();
    await reader.read();
    dead.kill("SIGKILL");
    await reader.cancel();
    await dead.status;
    assert((await Deno.lstat(path)).isSocket);
    const server = await unixServer(path);
    await ask(Connection.fromUnix(path));
    await server.stop();
    assertEquals([...Deno.readDirSync(folder)], []);
  }),
);

Deno.test(
  "a Unix socket that somebody listens on stays, and goes on to work",
  inFolder(async (folder) => {
    const path = `${folder}/socket`;
    const server = await unixServer(path);
    const error = await assertRejects(() => runUnix(path), Error, "somebody listens there");
    assertEquals((error as { code?: string }).code, "EADDRINUSE");
    await ask(Connection.fromUnix(path));
    await server.stop();
  }),
);

Deno.test(
  "a path that is too long for a Unix socket is refused, and nothing is made",
  inFolder(async (folder) => {
    const path = `${folder}/${"x".repeat(108 - folder.length - 1)}`;
    await assertRejects(
      () => runUnix(path),
      Error,
      `Cannot listen on ${path}: it has 108 bytes, where 107 are allowed`,
    );
    assertEquals([...Deno.readDirSync(folder)], []);
    const server = await unixServer(path.slice(0, -1));
    await ask(Connection.fromUnix(path.slice(0, -1)));
    await server.stop();
  }),
);

Deno.test(
  "where one cannot listen, the error has what the system says, its code, and the place",
  inFolder(async (folder) => {
    const server = await tcpServer();
    const { port } = server;
    const inUse = await assertRejects(() => runTcp("127.0.0.1", port), Deno.errors.AddrInUse);
    assertMatch(inUse.message, new RegExp(`^Cannot listen on 127\\.0\\.0\\.1:${port}: .*in use`));
    assertEquals((inUse as { code?: string }).code, "EADDRINUSE");
    await server.stop();
    const path = `${folder}/nowhere/socket`;
    await assertRejects(() => runUnix(path), Deno.errors.NotFound, `Cannot listen on ${path}: No such file`);
    await assertRejects(() => runTcp("nowhere.invalid", 0), Error, "Cannot listen on nowhere.invalid: ");
  }),
);

Deno.test(
  "files, folders and links that are in the way of a Unix socket stay as they are",
  inFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/file`, "precious");
    await Deno.mkdir(`${folder}/folder`);
    await Deno.symlink(`${folder}/file`, `${folder}/link`);
    for (const name of ["file", "folder", "link"]) {
      await assertRejects(() => runUnix(`${folder}/${name}`), Error, "something that is not a socket");
    }
    assertEquals(await Deno.readTextFile(`${folder}/link`), "precious");
    assert((await Deno.stat(`${folder}/folder`)).isDirectory);
  }),
);

Deno.test(
  "what took the place of a Unix socket meanwhile is not removed at the end",
  inFolder(async (folder) => {
    const path = `${folder}/socket`;
    const server = await unixServer(path);
    await Deno.rename(path, `${folder}/moved`);
    await Deno.writeTextFile(path, "precious");
    await server.stop();
    assertEquals(await Deno.readTextFile(path), "precious");
  }),
);
