// tests/support/conformance.ts in Node: tests/transports_conformance_test.ts bundles this file and runs it there with node:test.

import { test } from "node:test";
import process from "node:process";
import { conforms, SCENARIOS } from "../support/conformance.ts";
import type { WsPackage } from "../support/conformance_kinds.ts";
import { command, nodePorts, pipes, tcp, tls, unix, webSocket } from "../support/conformance_kinds.ts";

const ws: WsPackage = await import(process.env.ACROSS_WS!);

const kinds = [
  tcp,
  unix,
  tls(JSON.parse(process.env.ACROSS_CERTIFICATES!)),
  // Node 20 has no client of its own.
  webSocket(ws, "WebSocket" in globalThis ? "platform" : "ws"),
  webSocket(ws, "ws"),
  nodePorts,
  pipes,
  command((port) => [process.execPath, process.env.ACROSS_RELAY!, String(port)]),
];

for (const kind of kinds) {
  for (const scenario of SCENARIOS) {
    if (scenario.name === "says why it cannot connect" && !kind.missing) continue;
    test(`${kind.name} ${scenario.name}`, () => conforms(kind, scenario));
  }
}
