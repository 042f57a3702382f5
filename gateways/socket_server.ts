/**
 * A server that is one script, for machines where across is not installed. Servers that are programs of across are in `servers/`.
 *
 * @module
 */

import { getBios } from "../mod.ts";
import { MAJOR, MINOR } from "../protocol/version.ts";

/** What {@linkcode getSocketServer} can be told. */
export interface SocketServerInit {
  /** Where to listen; `"127.0.0.1"` without it. */
  readonly host?: string;
  /** The port; 8888 without it, and 0 for any that is free. */
  readonly port?: number;
  /** What clients must prove to know before anything is started for them. It is in the script as it is. */
  readonly secret?: string | Uint8Array;
}

const NAMES = ["host", "port", "secret"];
const LOOPBACK = /^(?:127(?:\.\d{1,3}){3}|::1|localhost)$/;

/** What the script does, in every runtime. `$` are values that are put in. It says where it listens over its channel, if it has one. */
const SCRIPT = `(async () => {
  const net = await import("node:net"), { spawn } = await import("node:child_process");
  const crypto = await import("node:crypto"), { default: process } = await import("node:process");
  const { Buffer } = await import("node:buffer"); // older Deno has no such global
  const { host, port, secret, bios, magic } = $INIT;
  const key = secret && Uint8Array.from(secret);
  const { deno, bun } = process.versions;
  const args = deno ? ["eval", "--no-config", bios] : [...(bun ? ["--config=/dev/null"] : []), "-e", bios];
  const serve = (socket, first) => {
    const child = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "inherit"] });
    child.on("error", () => socket.destroy());
    child.stdin.on("error", () => {});
    child.stdout.on("error", () => {});
    socket.on("close", () => {
      child.stdin.end();
      const timer = setTimeout(() => child.kill("SIGKILL"), 5000);
      child.on("exit", () => clearTimeout(timer));
    });
    if (first && first.length > 0) child.stdin.write(first);
    socket.pipe(child.stdin);
    child.stdout.pipe(socket);
  };
  const prove = (socket) => {
    const nonce = crypto.randomBytes(32), mine = Buffer.concat([Buffer.from(magic), Buffer.of(2, 0, 0, 0), nonce]);
    const mac = (side, theirs) =>
      crypto.createHmac("sha256", key).update("across proof 1: ").update(Buffer.of(side)).update(theirs).update(mine).digest();
    const timer = setTimeout(() => socket.destroy(), 10000);
    let got = Buffer.alloc(0);
    const take = (chunk) => {
      got = Buffer.concat([got, chunk]);
      if (got.length < 80 && got.subarray(0, 12).equals(mine.subarray(0, Math.min(12, got.length)))) return;
      socket.off("data", take);
      clearTimeout(timer);
      const theirs = got.subarray(0, 48), rest = got.subarray(80);
      const fair = got.length >= 80 && theirs.subarray(0, 12).equals(mine.subarray(0, 12)) && theirs[12] !== 2 &&
        !theirs.subarray(16).equals(nonce) && crypto.timingSafeEqual(mac(1, theirs), got.subarray(48, 80));
      if (!fair) return socket.destroy();
      socket.pause();
      socket.write(mac(2, theirs));
      serve(socket, rest);
    };
    socket.on("data", take);
    socket.on("close", () => clearTimeout(timer));
    socket.write(mine);
  };
  const server = net.createServer((socket) => {
    socket.setNoDelay(true);
    socket.on("error", () => socket.destroy());
    if (key) prove(socket);
    else serve(socket);
  });
  const told = typeof channel === "object" ? channel : undefined;
  server.on("error", (error) => {
    if (told) told.send(error).catch(() => {});
    else {
      console.error(String(error));
      process.exit(1);
    }
  });
  await new Promise((resolve) => server.listen(port, host, resolve));
  const { address, port: actual } = server.address();
  if (told) await told.send([address, actual]);
  else console.log("listening on tcp " + (address.includes(":") ? "[" + address + "]" : address) + ":" + actual);
})()`;

/**
 * Gives a script that a bare `deno eval`, `node -e` or `bun -e` runs, and that serves gateways of type `socket=`: each client gets a fresh interpreter
 * of its own, which it boots.
 *
 * Whoever can connect can do whatever the user can do who runs it. So it listens on this machine only, unless there is a secret; and a secret
 * authenticates, it does not encrypt.
 *
 * @param init Where to listen, and who may connect.
 * @throws {TypeError} If an option is unknown or of the wrong type.
 * @throws {RangeError} If the port is no port, or others could connect without a secret.
 *
 * @example
 * ```ts
 * import { getSocketServer, Group } from "@x/across/gateways";
 * import { assertEquals } from "@std/assert";
 *
 * await using group = new Group();
 * const carrier = await group.makeGateway();
 * const [host, port] = await carrier.remoteExec(getSocketServer({ port: 0 })).receive<[string, number]>();
 * const gateway = await group.makeGateway(`socket=${host}:${port}`);
 * assertEquals(await gateway.remoteExec("channel.send(6 * 7)").receive(), 42);
 * ```
 */
export function getSocketServer(init: SocketServerInit = {}): string {
  for (const name of Object.keys(init)) {
    if (!NAMES.includes(name)) throw new TypeError(`Cannot use option "${name}": there are ${NAMES.join(", ")}`);
  }
  const { host = "127.0.0.1", port = 8888, secret } = init;
  if (typeof host !== "string" || !host) throw new TypeError("Cannot listen without a host: pass a name or an address");
  if (!(Number.isInteger(port) && port >= 0 && port < 65536)) {
    throw new RangeError(`Cannot listen on port ${String(port)}: pass a whole number from 0 to 65535`);
  }
  if (secret !== undefined && typeof secret !== "string" && !(secret instanceof Uint8Array)) {
    throw new TypeError(`Cannot use a ${typeof secret} as option secret: it takes a string or bytes`);
  }
  if (secret?.length === 0) throw new RangeError("Cannot use an empty secret");
  if (secret === undefined && !LOOPBACK.test(host)) {
    throw new RangeError(`Cannot listen on ${host}, where others than that machine can connect, without a secret`);
  }
  const bytes = typeof secret === "string" ? new TextEncoder().encode(secret) : secret;
  const version = [MAJOR & 255, MAJOR >> 8, MINOR & 255, MINOR >> 8];
  const values = {
    host,
    port,
    ...(bytes ? { secret: [...bytes] } : {}),
    bios: getBios(),
    magic: [0x8b, ...new TextEncoder().encode("acproof"), ...version],
  };
  return SCRIPT.replace("$INIT", () => JSON.stringify(values));
}
