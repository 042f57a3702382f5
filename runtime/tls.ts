/**
 * Connecting with TLS, by `node:tls` in all runtimes: Deno's own functions cannot be given another name for the server together with a certificate
 * for the client.
 *
 * @module
 */

import { builtin } from "./host.ts";
import type { ConnectingSocket, Wanted } from "./sockets.ts";
import { firstOf, resolve } from "./sockets.ts";

/** How a TLS connection is secured. All texts are in PEM format. */
export interface TlsInit {
  /** Certificates of authorities that are trusted, instead of those that the runtime trusts. */
  readonly caCerts?: readonly string[];
  /** The name that the server's certificate must have; the host when absent. */
  readonly serverName?: string;
  /** A certificate that we show to the server, and those between it and an authority. */
  readonly cert?: string;
  /** The private key of `cert`. */
  readonly key?: string;
}

interface Tls {
  connect(options: object): ConnectingSocket;
}

interface Net {
  isIP(host: string): number;
}

/**
 * Connects over TCP and secures that. All addresses of the host are tried.
 *
 * @param host A name or address.
 * @param port The port.
 * @param init How it is secured.
 * @param wanted Gets the socket, once the server has shown its certificate.
 * @returns what became of it
 * @throws {Error} when that fails, as the system says it
 */
export async function connectTls<T>(host: string, port: number, init: TlsInit, wanted: Wanted<T>): Promise<T> {
  const [{ connect }, { isIP }, addresses] = await Promise.all([
    builtin<Tls>("node:tls"),
    builtin<Net>("node:net"),
    resolve(host),
  ]);
  wanted.signal.throwIfAborted();
  const { caCerts, serverName, cert, key } = init;
  const servername = serverName ?? (isIP(host) ? undefined : host);
  const options = {
    port,
    allowHalfOpen: true,
    ...(servername === undefined ? {} : { servername }),
    ...(caCerts ? { ca: [...caCerts] } : {}),
    ...(cert === undefined ? {} : { cert, key }),
  };
  const attempts = addresses.map((address) => () => connect({ ...options, host: address }));
  return await firstOf(attempts, "secureConnect", wanted);
}
