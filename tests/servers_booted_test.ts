// Servers on ends that a BIOS booted, where nothing of across is installed: they serve, and the handlers boot children from memory.

import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { biosCommand, Connection } from "../mod.ts";
import { withAuthority } from "./support/certificates.ts";
import { noLeaks } from "./support/leaks.ts";
import { testEachRuntime } from "./support/runtimes.ts";

const SERVE = `
  const { BiosConnectionHandler, LocalConnectionHandler, ProcessConnectionHandler, runTcp } =
    await import("@x/across/servers");
  const Handler = { BiosConnectionHandler, LocalConnectionHandler, ProcessConnectionHandler }[name];
  const handler = new Handler({ secret });
  globalThis.stopServer = new AbortController();
  const port = await new Promise((resolve, reject) => {
    globalThis.serverEnded = runTcp("127.0.0.1", 0, {
      handler,
      signal: globalThis.stopServer.signal,
      onListen: (address) => resolve(address.port),
    }).then(() => handler.close());
    globalThis.serverEnded.catch(reject);
  });
  port
`;

await testEachRuntime(
  "a booted end serves with every handler, offline",
  noLeaks(async ({ path }) => {
    const secret = "of this test";
    for (const name of ["LocalConnectionHandler", "ProcessConnectionHandler", "BiosConnectionHandler"]) {
      const end = Connection.fromCommand(biosCommand({ runtime: path }));
      const port = await end.execute<number>(SERVE, { name, secret });
      const conn = Connection.fromTcp("127.0.0.1", port, { secret });
      assertEquals(await conn.call((list: number[]) => list.map((n) => n * 2), [1, 2, 3]), [2, 4, 6], name);
      assertEquals((await conn.call((it: Uint8Array) => it, new Uint8Array(3 << 20))).length, 3 << 20, name);
      await conn.close();
      await end.execute("globalThis.stopServer.abort(); await globalThis.serverEnded");
      await end.close();
    }
  }),
);

/** What holds for listening, found out on the end itself. */
const RULES = `
  const fs = await import("node:fs");
  const { runTcp, runUnix } = await import("@x/across/servers");
  const start = (run) => new Promise((resolve, reject) => {
    const controller = new AbortController();
    const ended = run({
      signal: controller.signal,
      onListen: ({ port }) => resolve({ port, stop: () => (controller.abort(), ended) }),
    });
    ended.catch(reject);
  });
  const refused = (run) => start(run).then(() => "listened", (error) => error.message);
  const path = folder + "/socket", found = [];
  const unix = await start((init) => runUnix(path, init));
  found.push((fs.lstatSync(path).mode & 0o777).toString(8));
  found.push(await refused((init) => runUnix(path, init)));
  await unix.stop();
  found.push(fs.existsSync(path));
  fs.writeFileSync(path, "precious");
  found.push(await refused((init) => runUnix(path, init)));
  found.push(fs.readFileSync(path, "utf8"));
  found.push(await refused((init) => runTcp("0.0.0.0", 0, init)));
  const tcp = await start((init) => runTcp("::", 0, { ...init, secret }));
  found.push(await refused((init) => runTcp("127.0.0.1", tcp.port, init)));
  await tcp.stop();
  const again = await start((init) => runTcp("127.0.0.1", tcp.port, init));
  await again.stop();
  found
`;

await testEachRuntime(
  "a booted end listens by the same rules",
  noLeaks(async ({ path }) => {
    const folder = await Deno.makeTempDir();
    const end = Connection.fromCommand(biosCommand({ runtime: path }));
    const found = await end.execute<unknown[]>(RULES, { folder, secret: "of this test" });
    const inUse = found.pop();
    assertMatch(String(inUse), /in use|EADDRINUSE/i);
    assertEquals(found, [
      "600",
      `Cannot listen on ${folder}/socket: somebody listens there`,
      false,
      `Cannot listen on ${folder}/socket: there is something that is not a socket`,
      "precious",
      "Cannot listen on 0.0.0.0, where others than this machine can connect: pass a secret, or tls with requestCert and caCerts, or insecure: true",
    ]);
    await end.close();
    await Deno.remove(folder, { recursive: true });
  }),
);

const SERVE_TLS = `
  const { runTcp } = await import("@x/across/servers");
  globalThis.stopServer = new AbortController();
  const port = await new Promise((resolve, reject) => {
    globalThis.serverEnded = runTcp("0.0.0.0", 0, {
      tls,
      signal: globalThis.stopServer.signal,
      onListen: (address) => resolve(address.port),
    });
    globalThis.serverEnded.catch(reject);
  });
  port
`;

/** A server of `node:tls` that greets everybody whom it takes. */
const GREET_TLS = `
  const { createServer } = await import("node:tls");
  const server = createServer(tls, (socket) => socket.write("hello stranger"));
  await new Promise((resolve) => server.listen(0, resolve));
  server.address().port
`;

await testEachRuntime(
  "a booted end takes only clients with the right certificate",
  noLeaks(({ name, version, path }) =>
    withAuthority(async ({ ca, sign }) => {
      const [server, client] = await Promise.all([sign(["DNS:localhost"]), sign(["DNS:client"])]);
      const end = Connection.fromCommand(biosCommand({ runtime: path }));
      const tls = { ...server, requestCert: true, caCerts: [ca] };
      if (name === "deno" && /^2\.[0-7]\./.test(version)) {
        await assertRejects(async () => await end.execute(SERVE_TLS, { tls }), Error, "Cannot listen with TLS in Deno");
        // This is why: it takes clients without a certificate.
        const port = await end.execute<number>(GREET_TLS, { tls: { ...tls, rejectUnauthorized: true, ca } });
        using stranger = await Deno.connectTls({ hostname: "localhost", port, caCerts: [ca] });
        const greeting = new Uint8Array(100);
        const size = await stranger.read(greeting) ?? 0;
        assertEquals(new TextDecoder().decode(greeting.subarray(0, size)), "hello stranger");
        return await end.close();
      }
      const port = await end.execute<number>(SERVE_TLS, { tls });
      const conn = Connection.fromTls("localhost", port, { caCerts: [ca], ...client });
      assertEquals(await conn.call((n: number) => n + 1, 41), 42);
      await conn.close();
      const stranger = Connection.fromTls("localhost", port, { caCerts: [ca] });
      await assertRejects(async () => await stranger.call(() => 42), Error);
      await stranger.close().catch(() => {});
      await end.execute("globalThis.stopServer.abort(); await globalThis.serverEnded");
      await end.close();
    })
  ),
);
