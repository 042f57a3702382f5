/**
 * The triangle: a gateway starts a server, a second one dials that, and both talk with each other through us.
 *
 *   deno run -A examples/gateways/triangle.ts
 *
 * @module
 */

import { getSocketServer, Group } from "@x/across/gateways";

await using group = new Group();
const carrier = await group.makeGateway("popen//id=carrier");
const server = carrier.remoteExec(getSocketServer({ port: 0 }));
const [host, port] = await server.receive<[host: string, port: number]>();
const dialled = await group.makeGateway(`socket=${host}:${port}//id=dialled`);

const between = carrier.newChannel();
const asking = carrier.remoteExec("await it.send('How are you?'); await channel.send(await it.receive())", {
  it: between,
});
const answering = dialled.remoteExec("await it.receive(); await it.send('Well, thank you'); await it.receive()", {
  it: between,
});
console.log(await asking.receive());
asking.close();
answering.close();
