/**
 * Puts together what an end needs that dials, boots others or exports: see `wires.ts` and `session/provision.ts`.
 *
 * @module
 */

import { entrySource, extensionSource, kernelSource, pieceSource } from "./bios/embedded.ts";
import { payload } from "./bios/payload.ts";
import { sshCommand } from "./bios/ssh.ts";
import type { Connection } from "./connection.ts";
import { connectionOf, openConnection, sessionOf } from "./connection.ts";
import { ModuleGraph } from "./modules/graph.ts";
import { prepare, scanImports } from "./modules/imports.ts";
import { importModule } from "./modules/installed.ts";
import { Options } from "./protocol/options.ts";
import { SIDE } from "./protocol/proof.ts";
import { closeOriginal } from "./runtime/descriptors.ts";
import { spawn } from "./runtime/spawn.ts";
import { bootBytes } from "./protocol/superblock.ts";
import { stripTypes } from "./runtime/strip.ts";
import { startDebug, withDebug } from "./session/debug_output.ts";
import "./session/extended.ts";
import { provide } from "./session/provision.ts";
import { explainReference, sourceOf } from "./session/source.ts";
import { startTrace } from "./session/trace.ts";
import { processWire } from "./transports/child.ts";
import { commandWire } from "./transports/command.ts";
import { portWire } from "./transports/port.ts";
import { provedWire } from "./transports/proof.ts";
import { socketWire, tcpWire, unixWire } from "./transports/socket.ts";
import { stdioWire } from "./transports/stdio.ts";
import { tlsWire } from "./transports/tls.ts";
import { pipesWire, transportWire } from "./transports/web_streams.ts";
import { webSocketWire } from "./transports/websocket.ts";
import { provideWires } from "./wires.ts";

/** Files of the entry points, by what follows `@x/across` in their names. */
const ENTRIES = new Map([
  ["", "mod.ts"],
  ["/servers", "servers/mod.ts"],
  ["/gateways", "gateways/mod.ts"],
  ["/channels", "gateways/far_end.ts"],
  ["/objects", "objects/mod.ts"],
  ["/rsync", "gateways/rsync.ts"],
  ["/logging", "logging.ts"],
  ["/cli", "cli.ts"],
]);
/** Whether across has files here. Where it was booted, its URL means nothing: Bun makes a `file:` URL up. */
const hasFiles = !payload() && /^(?:file|https?):/.test(import.meta.url);

/** Where across itself is, for modules that import it. */
function selfUrls(): ReadonlyMap<string, string> {
  const urls = new Map<string, string>();
  if (!hasFiles) return urls;
  for (const [name, file] of ENTRIES) urls.set(new URL(file, import.meta.url).href, `@x/across${name}`);
  return urls;
}

provideWires({
  watched: (connection) => sessionOf(connection as Connection),
  open(init, foreign, acceptCalls, makeWire, steady) {
    const options = init instanceof Options ? init : new Options(init, foreign);
    const { secret, timeout } = options;
    let wire = makeWire(this);
    if (secret !== undefined) {
      const side = wire.accepted ? SIDE.listens : acceptCalls && wire.accepted === undefined ? SIDE.either : SIDE.dials;
      wire = provedWire(wire, { secret, timeout, side });
    }
    return [options, { wire, acceptCalls: options.acceptCalls ?? acceptCalls, steady }];
  },
  connect: openConnection,
  guarded: (wire, secret, timeout) => provedWire(wire, { secret, timeout, side: SIDE.listens }),
  tcp: tcpWire,
  tls: tlsWire,
  unix: unixWire,
  socket: socketWire,
  webSocket: webSocketWire,
  port: (port) => portWire(port),
  pipes: pipesWire,
  stdio: () => stdioWire({ closeOriginal }),
  command(args, init) {
    if (!args[0]) {
      throw new TypeError("Cannot start a command without a program: pass its name or path, and its arguments");
    }
    return commandWire(args, init);
  },
  spawn,
  child: (child) => processWire(child),
  // `env` and `cwd` are meant for the other machine.
  ssh: (destination, init) =>
    commandWire(sshCommand(destination, init), init.stderr === undefined ? {} : { stderr: init.stderr }),
  transport: transportWire,
});

const portable = (source: string): string =>
  source.includes("import") ? prepare(source, scanImports(source), () => "other").source : source;

provide({
  graph: () => new ModuleGraph({ selfUrls: selfUrls() }),
  portable,
  sourceOf: (fn) => portable(sourceOf(fn)),
  explain: explainReference,
  strip: stripTypes,
  connection: connectionOf,
  async provideSelf(id) {
    const loaded = ((globalThis as Record<symbol, unknown>)[Symbol.for("across.core")] ??= {}) as Record<
      string,
      unknown
    >;
    const file = ENTRIES.get(id.slice("@x/across".length));
    if (file === undefined) return;
    // Not as a literal, which would make a circle: these modules import this one.
    loaded[id] ??= await (hasFiles ? import(new URL(file, import.meta.url).href) : importModule(id));
  },
  bootBytes: () => bootBytes(withDebug(kernelSource())),
  extensionSource,
  piece: (specifier) => pieceSource(specifier.slice("@x/across/".length)),
  entrySource,
});

startTrace();
startDebug();
