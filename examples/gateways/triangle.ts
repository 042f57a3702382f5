/**
 * The triangle: a gateway starts a server, two further gateways dial that, and all talk with each other through us. Nothing is installed anywhere.
 *
 *   deno run -A examples/gateways/triangle.ts [SPEC]
 *
 * SPEC says where the server is to run: on this machine, or `ssh=wonderland`. Whoever dials it gets an interpreter of their own, which the server starts.
 *
 * @module
 */

import { getSocketServer, Group } from "@x/across/gateways";
import type { Channel } from "@x/across/gateways";

await using group = new Group();
const carrier = await group.makeGateway(`${Deno.args[0] ?? "popen"}//id=carrier`);

// By hand: the server is a script that says over its channel where it listens, on loopback only.
const server = carrier.remoteExec(getSocketServer({ port: 0 }));
const [host, port] = await server.receive<[host: string, port: number]>();
const dialled = await group.makeGateway(`socket=${host}:${port}//id=dialled`);

// In one step, also across machines: the server serves this gateway only, which proves a secret to it.
const installed = await group.makeGateway("socket//installvia=carrier//id=installed");

/** Each adds its name to what goes around. */
async function pass(_: Channel, { name, from, to }: { name: string; from: Channel; to: Channel }): Promise<void> {
  for await (const names of from) await to.send(`${names} -> ${name}`);
  to.close();
}

// A channel joins whoever has its ends: ours is the one that is left of the first and of the last.
const start = carrier.newChannel(), first = carrier.newChannel(), second = dialled.newChannel();
const end = installed.newChannel();
carrier.remoteExec(pass, { name: "carrier", from: start, to: first });
dialled.remoteExec(pass, { name: "dialled", from: first, to: second });
installed.remoteExec(pass, { name: "installed", from: second, to: end });
await start.send("here");
console.log(await end.receive());
start.close();
