/**
 * A thread beside the one that programs may keep busy for as long as they like. It ends the process when the one that started it is gone, and it
 * tells the peer that we are alive while the main thread cannot.
 *
 * @module
 */

import { builtin, runtime } from "./host.ts";

/** What the watchdog watches. */
export interface WatchdogInit {
  /** The process that started ours, as it was when we began. */
  readonly parent: number;
  /** What it writes while the main thread writes nothing; absent: it does not. */
  readonly heartbeat?: {
    /** The descriptor to write to. */
    readonly fd: number;
    /** After how many milliseconds without a write it writes. */
    readonly interval: number;
    /** As of `StdioWire.share()`. */
    readonly lock: Int32Array<SharedArrayBuffer>;
  };
}

/** A watchdog at work. */
export interface Watchdog {
  /** Ends it. */
  stop(): void;
}

/** What the thread gets. */
interface Orders extends WatchdogInit {
  /** Counts up: 0, whether to stop; 1, answers of the main thread. */
  readonly state: Int32Array;
}

/** How often the thread looks around, and how long it waits for an answer of the main thread, in ms. */
type Pace = readonly [look: number, wait: number];

/**
 * The thread. Its text travels, so it uses nothing from around it. It never returns to its event loop, as a busy loop of waits costs less.
 */
function watch(orders: Orders, [look, wait]: Pace, tell: (writes: boolean) => void): void {
  type Process = { pid: number; ppid: number; kill(pid: number, signal: string): void };
  type Files = { writeSync(fd: number, bytes: Uint8Array): number };
  const { Deno: deno, process } = globalThis as unknown as {
    Deno?: typeof Deno;
    process: Process & { getBuiltinModule?(name: string): Files };
  };
  const host = (deno ?? process) as Process;
  const { state, heartbeat } = orders;
  let { parent } = orders;
  let write: (bytes: Uint8Array) => number = () => 0;
  try {
    if (heartbeat && deno) {
      const file = heartbeat.fd === 1 ? deno.stdout : deno.openSync(`/dev/fd/${heartbeat.fd}`, { write: true });
      write = (bytes) => file.writeSync(bytes);
    } else if (heartbeat) {
      const fs = process.getBuiltinModule!("node:fs");
      write = (bytes) => fs.writeSync(heartbeat.fd, bytes);
    }
    if (heartbeat) tell(true);
  } catch {
    // Not ours to open: then the main thread is alone with it.
  }
  let writes = 0;
  let quiet = performance.now();
  while (Atomics.wait(state, 0, 0, look) === "timed-out") {
    if (host.ppid !== parent) {
      // Where the main thread still answers, it sees the end of its stdin by itself, if that has ended. If it has not, we were merely handed over
      // to another parent, as happens below some process managers.
      const answers = Atomics.load(state, 1);
      tell(false); // and wants an answer
      if (Atomics.wait(state, 1, answers, wait) === "timed-out") host.kill(host.pid, "SIGKILL");
      parent = host.ppid;
    }
    if (!heartbeat) continue;
    const { lock, interval } = heartbeat;
    const now = performance.now();
    const seen = Atomics.load(lock, 1);
    if (seen !== writes) {
      writes = seen;
      quiet = now;
    } else if (now - quiet >= interval && !Atomics.compareExchange(lock, 0, 0, 1)) {
      try {
        write(new Uint8Array(4));
        quiet = now;
      } catch {
        // The pipe is full, so the peer has something to read; or it is broken, which the main thread will find out.
      }
      Atomics.store(lock, 0, 0);
      Atomics.notify(lock, 0);
    }
  }
}

/** What is used of a worker of either kind. */
interface AnyWorker {
  on?(event: string, listener: (message?: unknown) => void): void;
  postMessage(message: unknown): void;
  unref?(): void;
  terminate(): void;
}

/**
 * Starts a watchdog. In Deno this takes 12 to 20 ms of the main thread, so there is a better time for it than the beginning.
 *
 * @param init What it watches.
 * @param writing Called when it is there, and able to write the heartbeat. In Deno the thread waits for a database that other processes use, too.
 * @returns what ends it; in Deno it keeps the process alive until then
 */
export function startWatchdog(init: WatchdogInit, writing: () => void): Watchdog {
  const state = new Int32Array(new SharedArrayBuffer(8));
  const told = (writes: unknown) => {
    if (writes) return writing();
    Atomics.add(state, 1, 1);
    Atomics.notify(state, 1);
  };
  const pace: Pace = [100, 300];
  const script = (receive: string, tell: string) => `${receive}o=>{(${watch})(o,${JSON.stringify(pace)},w=>${tell});`;
  let worker: AnyWorker | undefined;
  let stopped = false;
  const begin = (it: AnyWorker) => {
    worker = it;
    it.postMessage({ ...init, state });
    it.unref?.();
    if (stopped) it.terminate();
  };
  let forget = () => {};
  // In Bun a thread by way of Node's module takes the main thread 5 ms longer.
  if (runtime !== "node") {
    const text = script("const f=", "postMessage(w)") + "close()};onmessage=e=>f(e.data)";
    const url = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
    const it = new Worker(url, { type: "module" });
    // Deno 2.0 looks for it only later.
    forget = () => URL.revokeObjectURL(url);
    it.onmessage = (event) => told(event.data);
    it.onerror = (event) => event.preventDefault();
    begin(it as AnyWorker);
  } else {
    type Threads = { Worker: new (script: string, options: object) => AnyWorker };
    const text = `const p=require("node:worker_threads").parentPort;` +
      script(`p.once("message",`, "p.postMessage(w)") + "})";
    const start = ({ Worker }: Threads) => {
      const it = new Worker(text, { eval: true });
      it.on!("message", told);
      it.on!("error", () => {});
      begin(it);
    };
    const threads = builtin<Threads>("node:worker_threads");
    if (threads instanceof Promise) threads.then(start);
    else start(threads);
  }
  return {
    stop() {
      stopped = true;
      Atomics.store(state, 0, 1);
      Atomics.notify(state, 0);
      worker?.terminate();
      forget();
    },
  };
}
