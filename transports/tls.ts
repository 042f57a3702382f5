/**
 * Wires over TLS that we dial. Those over TLS sockets that are there already are in `socket.ts`.
 *
 * @module
 */

import type { TlsInit } from "../runtime/tls.ts";
import { connectTls } from "../runtime/tls.ts";
import { checkAddress, connectedWire } from "./socket.ts";
import type { Wire } from "./wire.ts";

function checkPem(name: string, value: unknown): void {
  if (value !== undefined && !(typeof value === "string" && value.includes("-----BEGIN "))) {
    throw new TypeError(`Cannot use option ${name} as it is not text in PEM format`);
  }
}

/**
 * A wire over TLS.
 *
 * @param host A name or address.
 * @param port The port.
 * @param init How it is secured.
 * @returns the wire; `opened` rejects with the system's reason, or with what is wrong with a certificate
 * @throws {TypeError} when the host is no host, or an option makes no sense
 * @throws {RangeError} when the port is no port
 */
export function tlsWire(host: string, port: number, init: TlsInit): Wire {
  const { host: bare, where } = checkAddress(host, port);
  const { caCerts, serverName, cert, key } = init;
  if (caCerts !== undefined && !(Array.isArray(caCerts) && caCerts.length > 0)) {
    throw new TypeError("Cannot use option caCerts as it is not a list of at least one certificate");
  }
  caCerts?.forEach((it) => checkPem("caCerts", it));
  checkPem("cert", cert);
  checkPem("key", key);
  if ((cert === undefined) !== (key === undefined)) {
    throw new TypeError("Cannot use option cert or key alone: a certificate needs its private key");
  }
  if (serverName !== undefined && (typeof serverName !== "string" || !serverName)) {
    throw new TypeError("Cannot use option serverName as it is not a name");
  }
  return connectedWire(where, (wanted) => connectTls(bare, port, init, wanted));
}
