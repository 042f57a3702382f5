/**
 * Forwarding what a program prints with `console` to the other side of a connection.
 *
 * @module
 */

import type { Connection } from "../mod.ts";
import type { LogLevel } from "./record.ts";
import type { SinkInit } from "./sink.ts";
import { connectionSink } from "./sink.ts";

/** The methods that are forwarded, and their levels. */
const METHODS = {
  trace: "trace",
  debug: "debug",
  log: "info",
  info: "info",
  warn: "warning",
  error: "error",
} as const satisfies Record<string, LogLevel>;

/** What {@linkcode consoleSink} is told. */
export interface ConsoleSinkInit extends SinkInit {
  /** The category of the records; `["console"]` by default. */
  readonly category?: readonly string[];
  /** Whether it is printed here, too; false by default. */
  readonly print?: boolean;
}

/**
 * Sends what `console` is told in this process over a connection, as records, until it is disposed of.
 *
 * @param connection As of {@linkcode connectionSink}.
 * @param init Lowest level, category, and whether it is printed here, too.
 *
 * @example Called by the other side, so that it sees what is printed here
 * ```ts
 * import { consoleSink } from "@x/across/logging";
 *
 * export async function work(): Promise<void> {
 *   await using _forwarding = consoleSink();
 *   console.warn("Low on cheese");
 * }
 * ```
 */
export function consoleSink(connection?: Connection, init: ConsoleSinkInit = {}): AsyncDisposable {
  const { category = ["console"], print = false, ...rest } = init;
  const sink = connectionSink(connection, rest);
  const target = console as unknown as Record<string, (...args: unknown[]) => void>;
  const restore: (() => void)[] = [];
  let inside = false;
  for (const [method, level] of Object.entries(METHODS)) {
    const original = target[method]!;
    const forward = (...args: unknown[]): void => {
      if (print) original.apply(console, args);
      if (inside) return;
      inside = true; // a value that prints when it is read would be forwarded for ever
      try {
        const message: unknown[] = [""];
        args.forEach((arg, i) => {
          if (typeof arg === "string") message[message.length - 1] += `${i > 0 ? " " : ""}${arg}`;
          else {
            if (i > 0) message[message.length - 1] += " ";
            message.push(arg, "");
          }
        });
        const rawMessage = message.filter((_, i) => i % 2 === 0).join("{}");
        sink({ category, level, message, rawMessage, timestamp: Date.now(), properties: {} });
      } finally {
        inside = false;
      }
    };
    target[method] = forward;
    restore.push(() => {
      if (target[method] === forward) target[method] = original;
    });
  }
  return {
    async [Symbol.asyncDispose]() {
      for (const each of restore) each();
      await sink[Symbol.asyncDispose]();
    },
  };
}
