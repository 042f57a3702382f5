/**
 * The errors of gateways and channels. They keep their class when they cross a connection.
 *
 * @module
 */

import { ownClasses } from "../session/definitions.ts";

/** How a process ended, as far as that is known. */
export interface ExitInfo {
  /** Its exit status. */
  readonly code?: number;
  /** The signal that killed it, such as `"SIGKILL"`. */
  readonly signal?: string;
}

/**
 * Code on the other side failed, or closed the channel with an error. `cause` is what was thrown there, and the remote stack follows ours.
 */
export class RemoteError extends Error {
  static {
    this.prototype.name = "RemoteError";
  }

  /**
   * Made by channels.
   *
   * @param message What went wrong there.
   * @param options With `cause`, what was thrown.
   */
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
  }
}

/** Something took longer than the `timeout` that was given. */
export class TimeoutError extends Error {
  static {
    this.prototype.name = "TimeoutError";
  }
}

/** The channel is closed, and everything that was sent over it before has been received. */
export class EndOfChannelError extends Error {
  static {
    this.prototype.name = "EndOfChannelError";
  }
}

/** The gateway of a channel is gone without having been asked to. */
export class GatewayLostError extends Error implements ExitInfo {
  static {
    this.prototype.name = "GatewayLostError";
  }
  /** The exit status of its process, where there is one. */
  declare readonly code?: number;
  /** The signal that killed its process, where one did. */
  declare readonly signal?: string;

  /**
   * Made by gateways.
   *
   * @param message What happened.
   * @param options With `cause`, the error of the connection, and how the process ended.
   */
  constructor(message: string, options: ErrorOptions & ExitInfo = {}) {
    super(message, options);
    const { code, signal } = options;
    if (code !== undefined) Object.defineProperty(this, "code", { value: code, enumerable: true });
    if (signal !== undefined) Object.defineProperty(this, "signal", { value: signal, enumerable: true });
  }
}

/** A machine could not be reached or logged in on. The message has the words of `ssh`, or of the system. */
export class HostNotFound extends Error {
  static {
    this.prototype.name = "HostNotFound";
  }
}

for (const made of [RemoteError, TimeoutError, EndOfChannelError, GatewayLostError, HostNotFound]) {
  ownClasses[made.prototype.name] = made;
}

/**
 * What a `receive` rejects with when the other side failed.
 *
 * @param cause What was thrown there.
 * @param where Who the other side is, for the stack.
 */
export function remoteError(cause: unknown, where: string): Error {
  if (cause instanceof GatewayLostError || cause instanceof RemoteError) return cause;
  if (!(cause instanceof Error)) return new RemoteError(String(cause), { cause });
  const message = cause.name === "Error" ? cause.message : `${cause.name}: ${cause.message}`;
  const error = new RemoteError(message, { cause });
  const frames = (cause.stack ?? "").split("\n").filter((line) => /^\s+at |@.*:\d+:\d+$|^Below lines/.test(line));
  const stack = `RemoteError: ${message}\n${
    frames[0]?.startsWith("Below lines") ? "" : `Below lines obtained from ${where}\n`
  }${frames.join("\n")}`;
  Object.defineProperty(error, "stack", { value: stack, configurable: true, writable: true });
  return error;
}

/** The error of a connection, as users of gateways see it. */
export function lostError(name: string, cause: unknown): GatewayLostError {
  const text = cause instanceof Error ? cause.message.replace(/^Connection was aborted due to \w+: /, "") : "";
  const code = /exited with status (\d+)/.exec(text)?.[1];
  const signal = /was killed by (SIG\w+)/.exec(text)?.[1];
  return new GatewayLostError(`${name} was lost: ${text || "its connection ended"}`, {
    cause,
    ...(code === undefined ? {} : { code: Number(code) }),
    ...(signal === undefined ? {} : { signal }),
  });
}
