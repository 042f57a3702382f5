/**
 * The import hook by `module.register`: Node before 22.15. It runs in a thread of Node's own, which gets the sources by messages; asking back from there
 * would deadlock.
 *
 * @module
 */

import { workingDirectoryUrl } from "./files.ts";
import { builtin } from "./host.ts";
import type { ImportHook } from "./import_hook.ts";

/** What is used of `node:module` and `node:worker_threads`. */
interface Register {
  register(url: string, options: { data: unknown; transferList: unknown[] }): void;
}
interface Port {
  postMessage(message: unknown): void;
  on(event: "message", listener: () => void): void;
  ref(): void;
  unref(): void;
}
interface Threads {
  MessageChannel: new () => { port1: Port; port2: Port };
}

/** What runs in the thread. */
const THREAD = `let m=new Map,c,f={format:"module",shortCircuit:true}
export let initialize=({p,d})=>{c=d;p.on("message",e=>{for(let[k,v]of e)v==null?m.delete(k):m.set(k,v);p.postMessage(0)}).unref()},
resolve=(s,x,n)=>m.has(s)?{url:s,...f}:n(s,m.has(x.parentURL)?{...x,parentURL:c}:x),
load=(u,x,n)=>m.has(u)?{source:m.get(u),...f}:n(u,x)`;

/** Installs the hook. Costs 30 ms, most of it the start of the thread. */
export async function threadHook(): Promise<ImportHook> {
  const { register } = await builtin<Register>("node:module");
  const { MessageChannel } = await builtin<Threads>("node:worker_threads");
  const { port1, port2 } = new MessageChannel();
  const data = { p: port2, d: workingDirectoryUrl() };
  register(`data:text/javascript,${encodeURIComponent(THREAD)}`, { data, transferList: [port2] });
  const waiting: (() => void)[] = [];
  port1.on("message", () => {
    waiting.shift()?.();
    if (!waiting.length) port1.unref();
  });
  port1.unref();
  const send = (entries: readonly (readonly [string, string | undefined])[]) =>
    new Promise<void>((done) => {
      waiting.push(done);
      port1.ref();
      port1.postMessage(entries);
    });
  return {
    scheme: "",
    add: (modules) => send([...modules]),
    drop(urls) {
      void send([...urls].map((url) => [url, undefined]));
    },
  };
}
