/**
 * Channels as web streams and as files. Channels themselves are in `channel.ts`.
 *
 * @module
 */

import type { ChannelCore } from "./channel_core.ts";
import { EndOfChannelError } from "./errors.ts";

/** What is used of a channel. */
interface Items {
  send(item: unknown): Promise<void>;
  receive(): Promise<unknown>;
  close(error?: unknown): void;
}

/** What arrives over a channel, as a stream. */
export function readableOf(channel: Items): ReadableStream<unknown> {
  return new ReadableStream({
    async pull(controller): Promise<void> {
      try {
        controller.enqueue(await channel.receive());
      } catch (error) {
        if (error instanceof EndOfChannelError) controller.close();
        else controller.error(error);
      }
    },
    cancel: () => channel.close(),
  }, { highWaterMark: 0 });
}

/** What is sent over a channel, as a stream. */
export function writableOf(channel: Items, core: ChannelCore): WritableStream<unknown> {
  return new WritableStream({
    write: (item) => channel.send(item),
    close: () => core.endSending(),
    abort: (reason) => core.close(reason ?? new Error("The stream was aborted")),
  }, { highWaterMark: 1 });
}

/** A channel that moves text, as a file. */
export interface ChannelFile extends AsyncDisposable {
  /** Sends text. */
  write(text: string): Promise<void>;
  /** Sends what there is: nothing waits here, so there is nothing to do. */
  flush(): Promise<void>;
  /**
   * Reads text.
   *
   * @param length How many UTF-16 units at most; all up to the end without it.
   * @returns The text; empty at the end.
   */
  read(length?: number): Promise<string>;
  /** Reads a line with its newline; empty at the end. */
  readLine(): Promise<string>;
  /** Reads line by line. */
  [Symbol.asyncIterator](): AsyncGenerator<string, void, undefined>;
  /** Closes the file, and with `proxyClose` the channel. */
  close(): void;
}

/** Makes a file of a channel. */
export function openFile(channel: Items, mode: "r" | "w", proxyClose: boolean): ChannelFile {
  return new TextFile(channel, mode, proxyClose);
}

class TextFile implements ChannelFile {
  readonly #channel: Items;
  readonly #mode: "r" | "w";
  readonly #proxyClose: boolean;
  #text = "";
  #ended = false;
  #closed = false;

  constructor(channel: Items, mode: "r" | "w", proxyClose: boolean) {
    this.#channel = channel;
    this.#mode = mode;
    this.#proxyClose = proxyClose;
  }

  #check(mode: "r" | "w"): void {
    if (this.#closed) throw new Error("The file is closed");
    if (mode !== this.#mode) {
      throw new TypeError(
        `Cannot ${mode === "r" ? "read from" : "write to"} a file that was opened in mode "${this.#mode}"`,
      );
    }
  }

  async write(text: string): Promise<void> {
    this.#check("w");
    if (typeof text !== "string") throw new TypeError(`Cannot write a ${typeof text} to a file: pass text`);
    await this.#channel.send(text);
  }

  flush(): Promise<void> {
    this.#check("w");
    return Promise.resolve();
  }

  /** Takes one more item. Returns false at the end. */
  async #more(): Promise<boolean> {
    if (this.#ended) return false;
    try {
      this.#text += String(await this.#channel.receive());
      return true;
    } catch (error) {
      if (!(error instanceof EndOfChannelError)) throw error;
      this.#ended = true;
      return false;
    }
  }

  #take(length: number): string {
    const text = this.#text.slice(0, length);
    this.#text = this.#text.slice(length);
    return text;
  }

  async read(length: number = Infinity): Promise<string> {
    this.#check("r");
    while (this.#text.length < length && await this.#more()) { /* until there is enough */ }
    return this.#take(length);
  }

  async readLine(): Promise<string> {
    this.#check("r");
    let looked = 0, at;
    while ((at = this.#text.indexOf("\n", looked)) < 0) {
      looked = this.#text.length;
      if (!await this.#more()) return this.#take(Infinity);
    }
    return this.#take(at + 1);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<string, void, undefined> {
    for (let line; (line = await this.readLine());) yield line;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#proxyClose) this.#channel.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }
}
