/**
 * The servers that `benches/servers.ts` runs in Node, one in a process: prints where it can be reached, and ends with its stdin.
 *
 * @module
 */

import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import process from "node:process";
import type { ListenAddress } from "../../servers/mod.ts";
import { runTcp, runUnix } from "../../servers/mod.ts";
import { handlerOf } from "./handlers.ts";

const [kind, transport] = process.argv.slice(2);
const handler = handlerOf(kind);
const controller = new AbortController();
const { signal } = controller;
process.stdin.on("end", () => controller.abort()).resume();
const onListen = ({ port, hostname }: ListenAddress): void => console.log(String(port || hostname));
if (transport === "unix") await runUnix(`${mkdtempSync(`${tmpdir()}/across-`)}/socket`, { handler, signal, onListen });
else await runTcp("127.0.0.1", 0, { handler, signal, onListen });
await handler.close();
