// Connection.fromTls(): who is trusted. What all transports have in common is in transports_conformance_test.ts.

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { createServer } from "node:tls";
import type { TlsOptions, TLSSocket } from "node:tls";
import type { TlsInit } from "../mod.ts";
import { Connection } from "../mod.ts";
import { withAuthority } from "./support/certificates.ts";
import { noLeaks } from "./support/leaks.ts";

/** Serves connections of one client, and gives the port. */
async function serving(options: TlsOptions, body: (port: number) => Promise<void>): Promise<void> {
  const ends: Connection[] = [];
  const server = createServer(options, (socket: TLSSocket) => ends.push(Connection.fromSocket(socket)));
  server.on("tlsClientError", () => {}); // the client tells
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await body((server.address() as { port: number }).port);
  } finally {
    for (const end of ends) await end.close().catch(() => {});
    await new Promise((resolve) => server.close(resolve));
  }
}

async function connects(host: string, port: number, options: TlsInit): Promise<void> {
  const conn = Connection.fromTls(host, port, options);
  assertEquals(await conn.call((n: number) => n + 1, 41), 42);
  await conn.close();
}

async function fails(host: string, port: number, options: TlsInit, code: string): Promise<void> {
  const error = await assertRejects(() => Connection.fromTls(host, port, options).ready(), Error);
  assertEquals((error as Error & { code?: string }).code, code, error.message);
}

Deno.test(
  "fromTls() trusts its own authority, checks the server's name and date, and shows a certificate",
  noLeaks(() =>
    withAuthority(async ({ ca, sign }) => {
      const good = await sign(["DNS:localhost", "IP:127.0.0.1"]);
      await serving(good, async (port) => {
        await connects("127.0.0.1", port, { caCerts: [ca] });
        await connects("localhost", port, { caCerts: [ca] });
        await connects("127.0.0.1", port, { caCerts: [ca], serverName: "localhost" });
        await fails("127.0.0.1", port, {}, "UNABLE_TO_VERIFY_LEAF_SIGNATURE");
        const error = await assertRejects(() => Connection.fromTls("localhost", port).ready(), Error);
        assert(error.message.startsWith(`Cannot connect to localhost:${port}: unable to verify`), error.message);
        await fails("127.0.0.1", port, { caCerts: [ca], serverName: "elsewhere" }, "ERR_TLS_CERT_ALTNAME_INVALID");
      });
      await serving(await sign(["DNS:elsewhere"]), async (port) => {
        await fails("localhost", port, { caCerts: [ca] }, "ERR_TLS_CERT_ALTNAME_INVALID");
        await connects("localhost", port, { caCerts: [ca], serverName: "elsewhere" });
      });
      await serving(await sign(["DNS:localhost"], -1), (port) => {
        return fails("localhost", port, { caCerts: [ca] }, "CERT_HAS_EXPIRED");
      });
      await withAuthority(async (other) => {
        const [known, unknown] = [await sign(["DNS:client"]), await other.sign(["DNS:client"])];
        await serving({ ...good, ca, requestCert: true, rejectUnauthorized: true }, async (port) => {
          await connects("localhost", port, { caCerts: [ca], ...known });
          await connects("127.0.0.1", port, { caCerts: [ca], ...known, serverName: "localhost" });
          // The server finds out when the client has finished the handshake already.
          const none = await assertRejects(
            () => Connection.fromTls("localhost", port, { caCerts: [ca] }).ready(),
            Error,
          );
          assert(/certificate ?required/i.test(none.message), none.message);
          // Node's servers do not say what is wrong with one, but hang up.
          await assertRejects(
            () => Connection.fromTls("localhost", port, { caCerts: [ca], ...unknown }).ready(),
            Error,
          );
        });
        await serving(await other.sign(["DNS:localhost"]), (port) => {
          return fails("localhost", port, { caCerts: [ca] }, "UNABLE_TO_VERIFY_LEAF_SIGNATURE");
        });
      });
    })
  ),
);

Deno.test(
  "fromSocket() takes the TLS connections of Deno",
  noLeaks(() =>
    withAuthority(async ({ ca, sign }) => {
      using listener = Deno.listenTls({ hostname: "127.0.0.1", port: 0, ...await sign(["DNS:localhost"]) });
      const accepted = listener.accept();
      const dialled = Deno.connectTls({ hostname: "localhost", port: listener.addr.port, caCerts: [ca] });
      const end = Connection.fromSocket(await accepted);
      const conn = Connection.fromSocket(await dialled);
      assertEquals(await conn.call((n: number) => n + 1, 41), 42);
      await conn.close();
      await end.close();
    })
  ),
);

Deno.test("fromTls() refuses options that make no sense", () => {
  const refused: [options: TlsInit, message: string][] = [
    [{ caCerts: [] }, "caCerts"],
    [{ caCerts: "x" as unknown as string[] }, "caCerts"],
    [{ caCerts: ["/etc/ssl/ca.pem"] }, "caCerts as it is not text in PEM"],
    [{ cert: "-----BEGIN CERTIFICATE-----" }, "needs its private key"],
    [{ key: "-----BEGIN PRIVATE KEY-----" }, "needs its private key"],
    [{ cert: "cert.pem", key: "key.pem" }, "cert as it is not text in PEM"],
    [{ serverName: "" }, "serverName"],
    [{ ca: "x" } as TlsInit, `"ca"`],
  ];
  for (const [options, message] of refused) {
    assertThrows(() => Connection.fromTls("localhost", 1, options), TypeError, message);
  }
  assertThrows(() => Connection.fromTls("localhost", 0), RangeError, "port 0");
});
