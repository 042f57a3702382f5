// What every transport must do: tests/support/conformance.ts, run on all of them, here, in Node and in Bun.

import { fromFileUrl, toFileUrl } from "@std/path";
import { assert } from "@std/assert";
import * as ws from "ws";
import { bundled } from "./support/bundle.ts";
import { withAuthority } from "./support/certificates.ts";
import { conforms, SCENARIOS } from "./support/conformance.ts";
import { denoKinds } from "./support/conformance_deno.ts";
import type { WsPackage } from "./support/conformance_kinds.ts";
import { command, nodePorts, pipes, tcp, tls, unix, webSocket } from "./support/conformance_kinds.ts";
import { noLeaks } from "./support/leaks.ts";
import type { Runtime } from "./support/runtimes.ts";
import { testEachRuntime } from "./support/runtimes.ts";

/** Where a package from npm is that Deno has fetched for us, for programs that are not run by Deno. */
async function packageUrl(name: string): Promise<string> {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", fromFileUrl(import.meta.url)],
  }).output();
  const { npmPackages } = JSON.parse(new TextDecoder().decode(stdout));
  const found = Object.values(npmPackages as Record<string, { name: string; localPath: string }>)
    .find((it) => it.name === name);
  return toFileUrl(`${found!.localPath}/wrapper.mjs`).href;
}

const relay = fromFileUrl(new URL("./fixtures/stdio_relay.ts", import.meta.url));

const [certificates, ofDeno] = await withAuthority(async (authority) => [
  { ca: authority.ca, ...await authority.sign(["DNS:localhost"]) },
  await denoKinds(authority),
]);

const kinds = [
  tcp,
  unix,
  tls(certificates),
  webSocket(ws as unknown as WsPackage, "platform"),
  nodePorts,
  pipes,
  command((port) => [Deno.execPath(), "run", "-A", "--no-config", relay, String(port)]),
  ...ofDeno,
];

for (const kind of kinds) {
  for (const scenario of SCENARIOS) {
    if (scenario.name === "says why it cannot connect" && !kind.missing) continue;
    Deno.test(`${kind.name} ${scenario.name}`, noLeaks(() => conforms(kind, scenario)));
  }
}

const program = await bundled("conformance", "node");
const bundledRelay = await bundled("stdio_relay");

await testEachRuntime(
  "all transports conform",
  noLeaks(async ({ name, path }: Runtime) => {
    const { code, stdout, stderr } = await new Deno.Command(path, {
      args: name === "bun" ? ["test", "--timeout", "60000", program] : ["--test", "--test-reporter=spec", program],
      env: {
        ACROSS_CERTIFICATES: JSON.stringify(certificates),
        ACROSS_RELAY: bundledRelay,
        ACROSS_WS: await packageUrl("ws"),
        NO_COLOR: "1",
      },
      stdin: "null",
    }).output();
    const shown = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    assert(code === 0, shown);
    // That no test ran must not pass for success.
    assert(Number((/^\S* ?pass (\d+)$/m.exec(shown) ?? /^\s*(\d+) pass$/m.exec(shown))?.[1] ?? 0) > 90, shown);
  }, 300_000),
  ({ name, version }) => name === "bun" || name === "node" && /^(?:20|26)\./.test(version),
);
