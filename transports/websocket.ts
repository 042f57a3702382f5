/**
 * Wires over WebSockets: one that we open with the platform's client, or one that is there, on either side. Each binary message is
 * a part of the stream, an empty one ends its direction; empty texts make the systems below acknowledge.
 *
 * @module
 */

import { runtime } from "../runtime/host.ts";
import { connectTcp } from "../runtime/sockets.ts";
import { ignore } from "./join.ts";
import type { Channel, Incoming } from "./messages.ts";
import { messageWire } from "./messages.ts";
import type { Wire } from "./wire.ts";

/** What is used of a WebSocket: the platform's, that of `Deno.upgradeWebSocket`, or one of the package `ws`. */
export interface WebSocketLike {
  /** How messages arrive. */
  binaryType: string;
  /** Where it leads to; empty on the side of the server. */
  readonly url: string;
  /** 0 while it is opened, 1 when it is open. */
  readonly readyState: number;
  /** Bytes that have not left yet. */
  readonly bufferedAmount: number;
  /** Sends a message: bytes, or an empty text. */
  send(data: Uint8Array<ArrayBuffer> | ""): void;
  /** Begins to close it. */
  close(code?: number): void;
  /** Adds a listener. */
  addEventListener(type: "open" | "message" | "error" | "close", listener: () => void): void;
}

/** What events of a WebSocket tell. Which of these are there depends on the platform. */
interface SocketEvent {
  readonly data?: unknown;
  readonly message?: string;
  readonly error?: unknown;
  readonly code?: number;
  readonly reason?: string;
}

/** What the package `ws` has beyond the platform's. */
interface Terminable {
  terminate?(): void;
}

/** Bytes that wait in the socket before the writer has to: nothing tells when they have left, so that it is asked now and then. */
const FULL = 1 << 20;

/** How often, in milliseconds, at first and at last. */
const PAUSES: readonly [number, number] = [1, 16];

/** How long a peer may take to answer when we do not want to go on, in milliseconds. */
const PATIENCE = 1000;

/**
 * Deno's client leaves Nagle's algorithm on, so that what is small waits until the peer's system has acknowledged what was small before: 40 ms, if its
 * program says nothing. A message of more than 1 KiB is written in two parts, and waits for itself. So this client first sends an empty text, and cuts what
 * is longer, but not by itself larger than a packet, into messages of 1 KiB. Who got that text answers messages of that size at once with an empty
 * text, and others if there was nothing else to say for a moment, in milliseconds.
 */
const WHOLE = 1 << 10, PACKET = 1 << 16, MOMENT = 2;

const nothing = new Uint8Array();

/** The reason that an event tells, if it does. */
function reasonOf({ error, message }: SocketEvent): string {
  const { cause } = Object(error) as Error;
  return [message || (error as Error | undefined)?.message, (cause as Error | undefined)?.message]
    .filter((it) => it).join(": ");
}

/** Waits for a promise that never rejects, but not longer than {@linkcode PATIENCE}. */
async function patiently<T>(promise: Promise<T>): Promise<T | undefined> {
  let timer: ReturnType<typeof setTimeout>;
  const late = new Promise<undefined>((resolve) => timer = setTimeout(() => resolve(undefined), PATIENCE));
  return await Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** What the platform does not tell: whether the server is there at all, and if not, what the system says about it. */
async function reasonOfSystem({ protocol, hostname, port }: URL): Promise<string> {
  const controller = new AbortController();
  const connecting = connectTcp(
    hostname.replace(/^\[(.*)\]$/, "$1"),
    Number(port) || (protocol === "wss:" ? 443 : 80),
    {
      take: (socket) => void ("destroy" in socket ? socket.destroy() : socket.close()),
      signal: controller.signal,
    },
  );
  const reason = await patiently(connecting.then(() => "", (error: Error) => error.message));
  controller.abort();
  await connecting.catch(ignore);
  return reason ?? "";
}

function channelOf(socket: WebSocketLike & Terminable, address: URL, incoming: Incoming): Channel {
  // The rest of an address may be secret.
  const where = address.origin + address.pathname;
  socket.binaryType = "arraybuffer";
  let isOpen = socket.readyState > 0;
  let closing = false;
  let gone = false;
  let free = ignore;
  const closed = new Promise<void>((resolve) => free = resolve);
  let failure: Error | undefined;
  const on = (type: "open" | "message" | "error" | "close", listener: (event: SocketEvent) => void) =>
    socket.addEventListener(type, listener as () => void);
  const opened = isOpen ? undefined : new Promise<void>((resolve, reject) => {
    on("open", () => {
      isOpen = true;
      resolve();
    });
    const fail = async (event: SocketEvent) => {
      if (isOpen || gone) return;
      if (closing) return reject(new Error("The WebSocket is closed"));
      gone = true; // some say nothing more after that
      free();
      const told = reasonOf(event);
      const reason = told.includes("ECONN") || runtime === "other" ? "" : await reasonOfSystem(address);
      const error = new Error(`Cannot connect to ${where}: ${reason || told || "it refused"}`, { cause: event.error });
      reject(error);
      incoming.gone(error);
    };
    on("error", fail);
    on("close", fail);
  });
  /** Whether what we send may wait for the peer, and whether it was told; whether it told us, and has got nothing since it sent something. */
  const waits = runtime === "deno" && socket.url !== "" && !socket.terminate;
  let told = false, answers = false, owed = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  /** Looks whether there is room again, as long as somebody waits for it. */
  let looking: ReturnType<typeof setTimeout> | undefined;
  let look: (() => void) | undefined;
  const answer = () => {
    // What is on its way already does as well.
    if (owed && !closing && socket.readyState === 1 && !socket.bufferedAmount) socket.send("");
    owed = false;
  };
  const later = () => {
    timer = undefined;
    answer();
  };
  on("message", ({ data }) => {
    if (data === "") answers = !waits;
    if (answers) {
      owed = true;
      if (data === "" || (data as ArrayBuffer).byteLength === WHOLE) answer();
      else timer ??= setTimeout(later, MOMENT);
    }
    if (data === "") return;
    if (!(data instanceof ArrayBuffer)) incoming.gone(new Error("The peer sent text over the WebSocket"));
    else if (data.byteLength) incoming.data(new Uint8Array(data));
    else incoming.end();
  });
  on("error", (event) => failure ??= new Error(`The WebSocket broke: ${reasonOf(event)}`, { cause: event.error }));
  on("close", ({ code, reason }) => {
    clearTimeout(timer);
    free();
    if (!isOpen) return;
    gone = true;
    clearTimeout(looking);
    look?.();
    const clean = code === 1000 || code === 1005;
    const why = `The WebSocket was closed with code ${code}${reason ? ` (${JSON.stringify(reason)})` : ""}`;
    incoming.gone(failure ?? (clean ? undefined : new Error(why)));
  });
  return {
    opened,
    post(chunk) {
      owed = false;
      const piece = waits && chunk.length < PACKET ? WHOLE : chunk.length;
      if (waits && !told) socket.send("");
      told = true;
      for (let at = 0; at < chunk.length; at += piece) {
        const bytes = chunk.subarray(at, at + piece) as Uint8Array<ArrayBuffer>;
        // The package `ws` keeps it until it has left, all others copy it.
        socket.send(socket.terminate ? bytes.slice() : bytes);
      }
    },
    postEnd: () => socket.send(nothing),
    room() {
      if (socket.bufferedAmount < FULL) return;
      return new Promise((resolve) => {
        let [pause, longest] = PAUSES;
        look = () => {
          if (gone || socket.bufferedAmount < FULL / 2) return resolve();
          looking = setTimeout(look!, pause);
          pause = Math.min(2 * pause, longest);
        };
        look();
      });
    },
    async close(abort) {
      if (gone || socket.readyState === 3) return;
      closing = true;
      if (abort && socket.terminate) socket.terminate();
      else socket.close(1000);
      // A peer that is gone does not answer, and nothing but time frees the socket then.
      await (abort ? patiently(closed) : closed);
    },
  };
}

/**
 * A wire over a WebSocket.
 *
 * @param socket Where to connect to, or a WebSocket that is open, or about to be.
 * @returns the wire; `opened` rejects with the reason if the platform tells it
 * @throws {TypeError} when it is neither, or the platform has no WebSocket
 * @throws {DOMException} when the address is not one of a WebSocket
 */
export function webSocketWire(socket: string | URL | WebSocketLike): Wire {
  const isAddress = typeof socket === "string" || socket instanceof URL;
  if (isAddress && typeof WebSocket !== "function") {
    throw new TypeError("Cannot open a WebSocket as this runtime has none: pass one of the package ws");
  }
  const used: WebSocketLike = isAddress ? new WebSocket(socket) : socket;
  if (typeof used?.send !== "function" || typeof used.addEventListener !== "function") {
    throw new TypeError("Cannot connect over what is not a WebSocket: pass an address, or a WebSocket");
  }
  const wire = messageWire((incoming) => channelOf(used, new URL(used.url || "ws:unknown"), incoming));
  return { ...wire, accepted: !used.url };
}
