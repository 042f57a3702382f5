// That the structural types of transports fit what there really is in Deno, in Node and in the package ws. Checked by the compiler: `deno check`.

import { assertEquals } from "@std/assert";
import type { ChildProcess } from "node:child_process";
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { MessagePort as NodeMessagePort, Worker as NodeWorker } from "node:worker_threads";
// @ts-types="npm:@types/ws@^8"
import type { WebSocket as WsWebSocket } from "ws";
import type { ChildLike, PortLike, SocketLike, TlsInit, WebSocketLike } from "../mod.ts";

/** Is `true` where every `T` is an `As`, and known to be so. */
type Fits<T, As> = 0 extends 1 & T ? "any" : [T] extends [As] ? true : false;

Deno.test("SocketLike, PortLike, WebSocketLike and ChildLike fit what Deno, Node and the package ws have", () => {
  const sockets: [
    Fits<Deno.Conn, SocketLike>,
    Fits<Deno.TcpConn, SocketLike>,
    Fits<Deno.UnixConn, SocketLike>,
    Fits<Deno.TlsConn, SocketLike>,
    Fits<Socket, SocketLike>,
    Fits<TLSSocket, SocketLike>,
  ] = [true, true, true, true, true, true];
  const ports: [
    Fits<Worker, PortLike>,
    Fits<MessagePort, PortLike>,
    Fits<NodeWorker, PortLike>,
    Fits<NodeMessagePort, PortLike>,
    Fits<typeof globalThis & Pick<Worker, "postMessage">, PortLike>,
  ] = [true, true, true, true, true];
  const webSockets: [Fits<WebSocket, WebSocketLike>, Fits<WsWebSocket, WebSocketLike>] = [true, true];
  const children: [Fits<Deno.ChildProcess, ChildLike>, Fits<ChildProcess, ChildLike>] = [true, true];
  const tls: Fits<Pick<Deno.ConnectTlsOptions & Deno.TlsCertifiedKeyPem, "caCerts" | "cert" | "key">, TlsInit> = true;
  const others: [
    Fits<ReadableStream<Uint8Array>, SocketLike>,
    Fits<WebSocket, PortLike>,
    Fits<MessagePort, WebSocketLike>,
    Fits<Worker, SocketLike>,
  ] = [false, false, false, false];
  assertEquals(new Set([...sockets, ...ports, ...webSockets, ...children, tls]), new Set([true]));
  assertEquals(new Set(others), new Set([false]));
});
