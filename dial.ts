/**
 * Puts together what an end needs that dials, boots others or exports: see `wires.ts` and `session/provision.ts`.
 *
 * @module
 */

import { entrySource, kernelSource } from "./bios/embedded.ts";
import { sshCommand } from "./bios/ssh.ts";
import { ModuleGraph } from "./modules/graph.ts";
import { prepare, scanImports } from "./modules/imports.ts";
import { Options } from "./protocol/options.ts";
import { SIDE } from "./protocol/proof.ts";
import { provide } from "./session/provision.ts";
import { startTrace } from "./session/trace.ts";
import { processWire } from "./transports/child.ts";
import { commandWire } from "./transports/command.ts";
import { provedWire } from "./transports/proof.ts";
import { socketWire, tcpWire, unixWire } from "./transports/socket.ts";
import { stdioWire } from "./transports/stdio.ts";
import { tlsWire } from "./transports/tls.ts";
import { pipesWire, transportWire } from "./transports/web_streams.ts";
import { provideWires } from "./wires.ts";

/** Where across itself is, for modules that import it. Nowhere, where it was booted: there it has no URL that means anything. */
function selfUrls(): ReadonlyMap<string, string> {
  const urls = new Map<string, string>();
  if (/^(?:file|https?):/.test(import.meta.url)) {
    for (const [file, name] of [["mod.ts", ""], ["cli.ts", "/cli"], ["logging.ts", "/logging"]]) {
      urls.set(new URL(file!, import.meta.url).href, `@x/across${name}`);
    }
  }
  return urls;
}

provideWires({
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
  tcp: tcpWire,
  tls: tlsWire,
  unix: unixWire,
  socket: socketWire,
  pipes: pipesWire,
  stdio: () => stdioWire(),
  command(args, init) {
    if (!args[0]) {
      throw new TypeError("Cannot start a command without a program: pass its name or path, and its arguments");
    }
    return commandWire(args, init);
  },
  child: (child) => processWire(child),
  // `env` and `cwd` are meant for the other machine.
  ssh: (destination, init) =>
    commandWire(sshCommand(destination, init), init.stderr === undefined ? {} : { stderr: init.stderr }),
  transport: transportWire,
});

provide({
  graph: () => new ModuleGraph({ selfUrls: selfUrls() }),
  portable: (source) => source.includes("import") ? prepare(source, scanImports(source), () => "other").source : source,
  provideSelf: async () => {
    const loaded = (globalThis as Record<symbol, unknown>)[Symbol.for("across.core")] ??= {};
    // Not as a literal, which would make a circle: the main module imports this one.
    (loaded as Record<string, unknown>)["@x/across"] ??= await import(new URL("./mod.ts", import.meta.url).href);
  },
  kernelSource,
  entrySource,
});

startTrace();
