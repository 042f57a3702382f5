/**
 * Servers under test: one that runs while a test needs it, and handlers of all kinds.
 *
 * @module
 */

import type { OptionsInit } from "../../mod.ts";
import type { ConnectionHandler, ListenAddress, RunInit } from "../../servers/mod.ts";
import {
  BiosConnectionHandler,
  LocalConnectionHandler,
  ProcessConnectionHandler,
  runTcp,
  runUnix,
} from "../../servers/mod.ts";

/** All kinds of handlers, by name. */
export const HANDLERS: readonly (readonly [name: string, make: (options?: OptionsInit) => ConnectionHandler])[] = [
  ["local", (options) => new LocalConnectionHandler(options)],
  ["process", (options) => new ProcessConnectionHandler(options)],
  ["BIOS", (options) => new BiosConnectionHandler(options)],
];

/** A server that runs. */
export interface Running {
  readonly address: ListenAddress;
  readonly port: number;
  /** Stops it and waits for its end. */
  stop(): Promise<void>;
}

/** Starts a server and waits until one can connect. */
async function running(run: (init: RunInit) => Promise<void>, init: RunInit): Promise<Running> {
  const controller = new AbortController();
  const { promise, resolve, reject } = Promise.withResolvers<ListenAddress>();
  const ended = run({ ...init, signal: controller.signal, onListen: resolve });
  ended.catch(reject);
  const address = await promise;
  return {
    address,
    port: address.port,
    stop() {
      controller.abort();
      return ended;
    },
  };
}

/** A server on loopback, on any port, or where `host` says. */
export const tcpServer = (init: RunInit = {}, host = "127.0.0.1"): Promise<Running> =>
  running((all) => runTcp(host, 0, all), init);

/** A server on a Unix socket. */
export const unixServer = (path: string, init: RunInit = {}): Promise<Running> =>
  running((all) => runUnix(path, all), init);
