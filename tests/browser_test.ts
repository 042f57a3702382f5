// A page in a real browser, which speaks to a Deno server over a WebSocket. What it does is in fixtures/browser/page.ts; it is bundled with what
// docs/runtimes.md names, and nothing more.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { startServer as startExample } from "../examples/page/server.ts";
import type { Scenario } from "./fixtures/browser/page.ts";
import type { Running } from "./fixtures/browser/server.ts";
import { SECRET, startServer } from "./fixtures/browser/server.ts";
import { bundled } from "./support/bundle.ts";
import type { Page } from "./support/chromium.ts";
import { chromiumMissing, startChromium } from "./support/chromium.ts";
import { condition, noLeaks } from "./support/leaks.ts";

const reason = await chromiumMissing();
if (reason !== undefined && Deno.env.get("CI") === "true") throw new Error(reason);

/** A test in a browser. Without one it is ignored, and its name says why. */
function test(name: string, body: () => Promise<void>): void {
  Deno.test({
    name: reason === undefined ? name : `${name} (${reason})`,
    ignore: reason !== undefined,
    fn: noLeaks(body),
  });
}

const FIXTURE = "page";

/** What `deno bundle` makes of the page. */
async function bundledByDeno(): Promise<string> {
  const file = new URL(`fixtures/browser/${FIXTURE}.ts`, import.meta.url).pathname;
  const args = ["bundle", "--quiet", "--platform", "browser", "--minify", file];
  const { success, stdout } = await new Deno.Command(Deno.execPath(), { args, stderr: "inherit" }).output();
  assert(success, "deno bundle has failed");
  return new TextDecoder().decode(stdout);
}

const byEsbuild = reason === undefined
  ? await Deno.readTextFile(await bundled(FIXTURE, "fixtures/browser", "browser"))
  : "";

/** Runs one of the page's scenarios. */
function run(page: Page, name: Scenario, ...args: string[]): Promise<unknown> {
  return page.evaluate(`scenarios.${name}(${args.map((it) => JSON.stringify(it)).join()})`);
}

/** What each scenario comes to. */
const EXPECTED: readonly (readonly [what: string, name: Scenario, expected: unknown])[] = [
  ["values travel both ways", "values", [5, [1, 2, 255], "7", true, false]],
  ["20 MiB travel both ways", "large", (20 << 20) * 3],
  ["callbacks run in the page", "callbacks", [6, [1, 2, 3]]],
  ["chains and references", "chains", [42, 1]],
  ["generators and byte streams", "streams", [[1, 2, 3], 300_000]],
  ["errors keep their class, and tell where they come from", "failures", [true, "as it should", true]],
  ["cancelling reaches the server", "cancelling", ["AbortError: enough", true]],
  ["the server reaches what the page exposes, and nothing else", "backwards", [
    "a page of these tests",
    true,
    "Cannot run this as the peer does not accept calls: it would have to set the option acceptCalls, or expose an object",
  ]],
  ["a worker of the page is a bare end", "worker", [42, "undefinedfunction"]],
  ["a worker gets modules that the page exports, by address", "exporting", 42],
  ["fromPort() over a MessageChannel", "frame", 42],
];

async function serveScenarios(script: string, body: (page: Page, server: Running) => Promise<void>): Promise<void> {
  await using server = startServer(script);
  await using chromium = await startChromium();
  const page = await chromium.open(server.origin);
  await body(page, server);
  assertEquals(page.complaints, []);
  await page.close();
  await condition(() => server.open.size === 0, "the server has noticed that the page is gone");
}

test("a page in Chromium uses what a Deno server exposes, over a WebSocket", () =>
  serveScenarios(byEsbuild, async (page, server) => {
    for (const [what, name, expected] of EXPECTED) assertEquals(await run(page, name), expected, what);
    // As an earlier connection may still say goodbye.
    await condition(() => server.open.size === 0, "every connection of the page has ended");
  }));

test("a page that deno bundle has made small does the same", async () => {
  const script = await bundledByDeno();
  await serveScenarios(script, async (page) => {
    for (const [what, name, expected] of EXPECTED) assertEquals(await run(page, name), expected, what);
  });
});

test("a page can start nothing on a server, and reach only what that exposes", () =>
  serveScenarios(byEsbuild, async (page) => {
    const told = await run(page, "restricted") as string[];
    for (const it of told.slice(0, 3)) assertMatch(it, /^OperationError: Cannot run this as the peer does not accept/);
    assertMatch(told[3]!, /hidden/);
  }));

test("what browsers lack fails with an error", () =>
  serveScenarios(byEsbuild, async (page) => {
    assertMatch(String(await run(page, "sockets")), /node:net/);
    assertMatch(String(await run(page, "circle")), /import each other in a circle, which takes Deno 2\.8, Node or Bun/);
    // There is no asynchronous storage.
    assertMatch(String(await run(page, "afterAwait")), /^Cannot tell the connection as no call/);
  }));

test("a page that knows the secret is let in, one that does not is not", () =>
  serveScenarios(byEsbuild, async (page) => {
    assertEquals(await run(page, "secret", SECRET), "the server");
    assertMatch(String(await run(page, "secret", "another one")), /Cannot authenticate the peer/);
  }));

test("ready() in a page rejects where nobody listens", () =>
  serveScenarios(byEsbuild, async (page) => {
    assertMatch(String(await run(page, "unreachable", "ws://127.0.0.1:1/across")), /Cannot connect to ws:\/\/127/);
  }));

test("a page from another origin does not get a connection", async () => {
  await using server = startServer(byEsbuild);
  await using other = startServer(byEsbuild);
  await using chromium = await startChromium();
  const page = await chromium.open(other.origin);
  const address = `${server.origin.replace("http", "ws")}/across`;
  assertMatch(String(await run(page, "unreachable", address)), /Cannot connect to ws:/);
  assertEquals([server.refused(), server.open.size], [1, 0]);
  // Its own server takes it, so that it was not for anything else.
  assertEquals(await run(page, "frame"), 42);
  assertEquals(await run(page, "callbacks"), [6, [1, 2, 3]]);
});

test("the example shows a machine's load on a page, live, and greets it", async () => {
  await using server = await startExample();
  await using chromium = await startChromium();
  const page = await chromium.open(server.url);
  const text = (id: string) => page.evaluate<string>(`document.getElementById(${JSON.stringify(id)}).textContent`);
  await condition(async () => await text("name") === Deno.hostname(), "the page shows the name of this machine");
  await condition(async () => /^You are visitor \d+$/.test(await text("greeting")), "the server has greeted the page");
  const shown = () => page.evaluate<string[]>(`[...document.querySelectorAll("#load li")].map((it) => it.textContent)`);
  const loads = await condition(async () => {
    const loads = await shown();
    return loads.length >= 3 && loads;
  }, "the page shows the load as it changes");
  for (const load of loads) assertMatch(load, /^\d+\.\d\d$/);
  assertEquals(page.complaints, []);
});

Deno.test(
  "the example's server takes connections of its own page only",
  noLeaks(async () => {
    await using server = await startExample();
    const { hostname, port, host, origin } = new URL(server.url);
    const upgrade = async (from: string | undefined, name = host): Promise<string> => {
      using conn = await Deno.connect({ hostname, port: Number(port) });
      const lines = [
        "GET /across HTTP/1.1",
        `Host: ${name}`,
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        ...(from === undefined ? [] : [`Origin: ${from}`]),
      ];
      await conn.write(new TextEncoder().encode(`${lines.join("\r\n")}\r\n\r\n`));
      const answer = new Uint8Array(1000);
      const size = await conn.read(answer) ?? 0;
      return new TextDecoder().decode(answer.subarray(0, size)).split("\r\n")[0]!;
    };
    assertMatch(await upgrade(origin), / 101 /);
    assertMatch(await upgrade("https://example.com"), / 403 /);
    assertMatch(await upgrade("null"), / 403 /); // a file, or a frame in a sandbox
    assertMatch(await upgrade(undefined), / 403 /);
    // A name of somebody else's that leads here.
    assertMatch(await upgrade(`http://evil.example:${port}`, `evil.example:${port}`), / 403 /);
    assertMatch(await upgrade(`http://localhost:${port}`, host), / 403 /);
  }),
);
