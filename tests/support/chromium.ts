/**
 * A headless Chromium and the pages in it, driven over its debugging protocol. Profile and processes are gone when it is closed. What is on a page
 * is the tests' business.
 *
 * @module
 */

import { TextLineStream } from "@std/streams";
import { missing, which } from "./debian.ts";
import { condition, descendants, isAlive } from "./leaks.ts";

const NAMES = ["chromium", "chromium-browser", "google-chrome"];

async function program(): Promise<string | undefined> {
  for (const name of NAMES) {
    const path = await which(name);
    if (path !== undefined) return path;
  }
  return undefined;
}

let available: Promise<string | undefined> | undefined;

/**
 * Why there is no Chromium, installing it first where that is allowed.
 *
 * @returns the reason, or undefined when it can be started
 */
export function chromiumMissing(): Promise<string | undefined> {
  return available ??= missing("Chromium", async () => await program() !== undefined, ["chromium"]);
}

/** A page. */
export interface Page {
  /**
   * Evaluates an expression in it, and awaits its value, which must be of the kinds that JSON has.
   *
   * @throws {Error} when it throws there
   */
  evaluate<T>(expression: string): Promise<T>;
  /** What nobody caught in it, and what it wrote to its console as an error. */
  readonly complaints: readonly string[];
  /** Closes it, as a user does. */
  close(): Promise<void>;
}

/** A browser that runs. */
export interface Chromium extends AsyncDisposable {
  /** Opens a page, and waits until it has loaded. */
  open(url: string): Promise<Page>;
}

/** What the protocol sends. */
interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly sessionId?: string;
  readonly params?: Record<string, unknown>;
  readonly result?: Record<string, unknown>;
  readonly error?: { readonly message: string };
}

/** How an object of the page is described. */
interface RemoteValue {
  readonly value?: unknown;
  readonly description?: string;
}

/** The debugging protocol: JSON messages with numbered answers. */
class Protocol {
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, PromiseWithResolvers<Record<string, unknown>>>();
  readonly #listeners = new Set<(message: Message) => void>();
  readonly closed: Promise<void>;
  #last = 0;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.onmessage = ({ data }) => this.#take(JSON.parse(data));
    this.closed = new Promise((resolve) =>
      socket.onclose = () => {
        for (const { reject } of this.#waiting.values()) reject(new Error("Chromium has closed the connection"));
        this.#waiting.clear();
        resolve();
      }
    );
  }

  static async connect(url: string): Promise<Protocol> {
    const socket = new WebSocket(url);
    await new Promise((resolve, reject) => {
      socket.onopen = resolve;
      socket.onerror = () => reject(new Error("Cannot connect to Chromium"));
    });
    return new Protocol(socket);
  }

  #take(message: Message): void {
    const waiting = this.#waiting.get(message.id ?? 0);
    if (!waiting) return this.#listeners.forEach((listener) => listener(message));
    this.#waiting.delete(message.id!);
    if (message.error) waiting.reject(new Error(`Chromium says: ${message.error.message}`));
    else waiting.resolve(message.result ?? {});
  }

  listen(listener: (message: Message) => void): void {
    this.#listeners.add(listener);
  }

  /** Asks for something; of a page, where a session is named. */
  ask(method: string, params: object = {}, sessionId?: string): Promise<Record<string, unknown>> {
    const id = ++this.#last;
    const waiting = Promise.withResolvers<Record<string, unknown>>();
    this.#waiting.set(id, waiting);
    this.#socket.send(JSON.stringify({ id, method, params, sessionId }));
    return waiting.promise;
  }
}

/** What an event of a page complains about, if it does. */
function complaintOf({ method, params = {} }: Message): string | undefined {
  if (method === "Runtime.exceptionThrown") {
    const { exception, text } = params.exceptionDetails as { exception?: RemoteValue; text: string };
    return exception?.description ?? text;
  }
  if (method !== "Runtime.consoleAPICalled" || params.type !== "error") return undefined;
  return (params.args as RemoteValue[]).map((it) => it.value ?? it.description).join(" ");
}

async function openPage(protocol: Protocol, url: string): Promise<Page> {
  const { targetId } = await protocol.ask("Target.createTarget", { url: "about:blank" });
  const { sessionId } = await protocol.ask("Target.attachToTarget", { targetId, flatten: true });
  const ask = (method: string, params?: object) => protocol.ask(method, params, sessionId as string);
  const complaints: string[] = [];
  const { promise: loaded, resolve } = Promise.withResolvers<void>();
  protocol.listen((message) => {
    if (message.sessionId !== sessionId) return;
    const complaint = complaintOf(message);
    if (complaint !== undefined) complaints.push(complaint);
    if (message.method === "Page.loadEventFired") resolve();
  });
  await Promise.all([ask("Runtime.enable"), ask("Page.enable")]);
  const { errorText } = await ask("Page.navigate", { url });
  if (errorText) throw new Error(`Chromium cannot load ${url}: ${errorText}`);
  await loaded;
  return {
    complaints,
    async evaluate<T>(expression: string): Promise<T> {
      const { result, exceptionDetails } = await ask("Runtime.evaluate", {
        expression,
        awaitPromise: true,
        returnByValue: true,
      }) as { result: RemoteValue; exceptionDetails?: { exception?: RemoteValue; text: string } };
      if (!exceptionDetails) return result.value as T;
      throw new Error(`In the page: ${exceptionDetails.exception?.description ?? exceptionDetails.text}`);
    },
    async close() {
      await protocol.ask("Target.closeTarget", { targetId });
    },
  };
}

/**
 * Starts a browser.
 *
 * @throws {Error} when there is none here: ask {@linkcode chromiumMissing} first
 */
export async function startChromium(): Promise<Chromium> {
  const reason = await chromiumMissing();
  if (reason !== undefined) throw new Error(reason);
  const profile = await Deno.makeTempDir({ prefix: "across-chromium-" });
  const child = new Deno.Command((await program())!, {
    args: [
      "--headless",
      "--no-sandbox", // it refuses to run as root without
      "--disable-gpu",
      "--disable-dev-shm-usage", // containers have little of it
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-crash-reporter",
      "--no-first-run",
      "--remote-debugging-port=0",
      `--user-data-dir=${profile}`,
    ],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const { promise: address, resolve, reject } = Promise.withResolvers<string>();
  const reading = (async () => {
    const said: string[] = [];
    for await (const line of child.stderr.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream())) {
      const url = /^DevTools listening on (ws:.*)$/.exec(line)?.[1];
      if (url) resolve(url);
      if (said.length < 20) said.push(line);
    }
    reject(new Error(`Chromium has ended: ${said.join("\n")}`));
  })();
  const family = (): readonly number[] => descendants(child.pid).map(({ pid }) => pid);
  const stop = async (protocol?: Protocol): Promise<void> => {
    const started = family();
    if (protocol) await Promise.all([protocol.ask("Browser.close"), protocol.closed]);
    else child.kill("SIGKILL");
    await Promise.all([child.status, reading]);
    await condition(() => !started.some(isAlive), "Chromium has ended");
    // Something of it may still write there.
    await condition(() => Deno.remove(profile, { recursive: true }).then(() => true), "the profile is removed");
  };
  let protocol: Protocol;
  try {
    protocol = await Protocol.connect(await address);
  } catch (error) {
    await stop().catch(() => {});
    throw error;
  }
  return { open: (url) => openPage(protocol, url), [Symbol.asyncDispose]: () => stop(protocol) };
}
