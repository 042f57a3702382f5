/**
 * The process that we run in: which runtime it is, and the few things that every runtime has under another name (pid, host name, environment,
 * stderr, exit, timers, built-in modules). Nothing here opens descriptors (`descriptors.ts`), starts processes (`spawn.ts`) or protects stdout
 * (`stdio_guard.ts`).
 *
 * @module
 */

/** The runtimes that across tells apart; `other` is, for example, a browser. */
export type RuntimeName = "deno" | "node" | "bun" | "other";

/** What is used of Node's (and Bun's) global `process`. */
export interface HostProcess {
  readonly pid: number;
  readonly ppid: number;
  readonly execPath: string;
  readonly env: Record<string, string | undefined>;
  readonly versions: Record<string, string | undefined>;
  getBuiltinModule?(name: string): unknown;
  exit(code?: number): never;
}

/** Where one finds the value of an `AsyncLocalStorage`. */
export interface AsyncStorage<T> {
  /** Runs `callback` with `value` as what `getStore()` gives in it and in all that it starts. */
  run<R>(value: T, callback: () => R): R;
  /** The value of the innermost `run()` that we are in. */
  getStore(): T | undefined;
}

/** Deno's namespace; undefined elsewhere. */
export const deno: typeof Deno | undefined = globalThis.Deno;

/** Bun's namespace; undefined elsewhere. */
export const bun: { readonly version: string } | undefined = (globalThis as { Bun?: { version: string } }).Bun;

/** Node's and Bun's `process`. In Deno it is left alone, as its first use loads 17 ms of compatibility code. */
export const nodeProcess: HostProcess | undefined = deno
  ? undefined
  : (globalThis as unknown as { process?: HostProcess }).process;

/** Which runtime this is. */
export const runtime: RuntimeName = deno ? "deno" : bun ? "bun" : nodeProcess?.versions?.node ? "node" : "other";

/** The version of the runtime, without a leading "v"; empty where there is none. */
export const runtimeVersion: string = deno?.version.deno ?? bun?.version ?? nodeProcess?.versions?.node ?? "";

/** Ids of this process and of the one that started it; the latter changes when that one dies. */
export const pid = (): number | undefined => (deno ?? nodeProcess)?.pid;
export const parentPid = (): number | undefined => (deno ?? nodeProcess)?.ppid;

const builtins = new Map<string, unknown>();

/**
 * Gives a built-in module, at once where that is cheap (Node, Bun, and Deno when it is loaded already), else later.
 *
 * @param name With its prefix, as in `node:net`.
 * @returns The module, or a promise of it: `await` copes with both.
 */
export function builtin<T>(name: string): T | Promise<T> {
  const known = builtins.get(name) ?? nodeProcess?.getBuiltinModule?.(name);
  if (known) return known as T;
  return import(name).then((module) => {
    module = module.default ?? module;
    builtins.set(name, module);
    return module;
  });
}

/** Gives a built-in module at once, whatever loading it costs; undefined where there are none. */
export function builtinNow<T>(name: string): T | undefined {
  const process = (globalThis as unknown as { process?: HostProcess }).process;
  return process?.getBuiltinModule?.(name) as T | undefined;
}

/** A new `AsyncLocalStorage`; in Deno the first one loads 6 ms of code, so it comes as a promise there. */
export function asyncStorage<T>(): AsyncStorage<T> | Promise<AsyncStorage<T>> {
  type Hooks = { AsyncLocalStorage: new () => AsyncStorage<T> };
  const hooks = builtin<Hooks>("node:async_hooks");
  return hooks instanceof Promise ? hooks.then((it) => new it.AsyncLocalStorage()) : new hooks.AsyncLocalStorage();
}

/** Says whether Deno grants something for sure; asking it for the thing itself might prompt the user. */
export function granted(descriptor: Deno.PermissionDescriptor): boolean {
  try {
    return deno!.permissions.querySync(descriptor).state === "granted";
  } catch {
    return false;
  }
}

/** The value of an environment variable; undefined when it is unset or we may not know it. */
export function env(name: string): string | undefined {
  if (!deno) return nodeProcess?.env?.[name];
  return granted({ name: "env", variable: name }) ? deno.env.get(name) : undefined;
}

/** The name of this machine; undefined when we may not know it. */
export function hostName(): string | undefined {
  if (deno) return granted({ name: "sys", kind: "hostname" }) ? deno.hostname() : undefined;
  return (nodeProcess?.getBuiltinModule?.("node:os") as { hostname(): string } | undefined)?.hostname();
}

/** The path of the runtime's executable; undefined when we may not know it. */
export function execPath(): string | undefined {
  // Deno before 2.9 wants the permission to read for this.
  return deno ? granted({ name: "read" }) ? deno.execPath() : undefined : nodeProcess?.execPath;
}

/** Ends this process now. */
export function exit(code = 0): never {
  return (deno ?? nodeProcess!).exit(code);
}

/** Calls something when this process ends by itself. */
export function atExit(callback: () => void): void {
  if (deno) globalThis.addEventListener("unload", callback);
  else (nodeProcess as { on?(event: string, listener: () => void): void } | undefined)?.on?.("exit", callback);
}

/**
 * Writes to stderr (in browsers: to the console), all of it before it returns, if that is possible. Never throws: there is nobody left to tell.
 *
 * @param text Text, or bytes of it.
 */
export function writeStderr(text: string | Uint8Array): void {
  if (runtime === "other") {
    return console.error(typeof text === "string" ? text.trimEnd() : new TextDecoder().decode(text));
  }
  let bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
  // A descriptor that does not block (someone else may have made it so) refuses when the pipe is full: its reader gets
  // a second to catch up. What does not fit then is lost; hanging here would be worse.
  for (let patience = 100; bytes.length && patience;) {
    try {
      bytes = bytes.subarray(deno ? deno.stderr.writeSync(bytes) : fs()!.writeSync(2, bytes));
    } catch (error) {
      if (!isWouldBlock(error)) return;
      patience--;
      sleepSync(10);
    }
  }
}

/** Node's file functions that are used synchronously; in Deno only after `builtin("node:fs")` was awaited. */
export interface FileFunctions {
  readSync(fd: number, buffer: Uint8Array): number;
  writeSync(fd: number, buffer: Uint8Array): number;
  closeSync(fd: number): void;
}
const fs = () => builtin("node:fs") as FileFunctions;

/** Says whether a read or write failed only because it would have had to wait. */
export function isWouldBlock(error: unknown): boolean {
  const { name, code } = Object(error) as { name?: unknown; code?: unknown };
  return name === "WouldBlock" || code === "EAGAIN";
}

/** Blocks this thread. */
export function sleepSync(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

/**
 * `setTimeout()` that keeps the process alive only if asked to; `clearTimeout()` stops it.
 *
 * @param callback What to do then.
 * @param ms When, in milliseconds.
 * @returns What `clearTimeout()` takes.
 */
export function idleTimeout(callback: () => void, ms: number): ReturnType<typeof setTimeout> {
  const timer: unknown = setTimeout(callback, ms);
  if (deno) deno.unrefTimer(timer as number);
  else (timer as { unref?(): void }).unref?.();
  return timer as ReturnType<typeof setTimeout>;
}

/**
 * Calls back before long, at once where timers cost nothing: in Deno the first one takes 5 ms, but for those of signals.
 *
 * @param callback What to do then.
 * @param limit How late it may be, in milliseconds.
 */
export function later(callback: () => void, limit: number): void {
  if (deno) AbortSignal.timeout(Math.min(limit, 100)).addEventListener("abort", callback);
  else callback();
}
