/**
 * Log records that cross a connection: what is logged on one side arrives in the logger of the same category on the other. For LogTape, whose records
 * these are, and with adapters for `console`, pino and winston, none of which it depends on.
 *
 * Over there (in a remote function, or any program with a {@linkcode Connection}): {@linkcode connectionSink}, {@linkcode consoleSink},
 * {@linkcode pinoDestination}, {@linkcode winstonTransport}. Here: {@linkcode receiveRecords} with {@linkcode toLogTape}, {@linkcode toPino},
 * {@linkcode toWinston}, {@linkcode toConsole} or a function of your own. A peer may send records whatever else it may do.
 *
 * @module
 */

export { connectionSink } from "./logging/sink.ts";
export type { ConnectionSink, SinkInit } from "./logging/sink.ts";
export { consoleSink } from "./logging/console.ts";
export type { ConsoleSinkInit } from "./logging/console.ts";
export { pinoDestination, winstonTransport } from "./logging/libraries.ts";
export type { PinoDestination, WinstonTransport } from "./logging/libraries.ts";
export { receiveRecords, toConsole, toLogTape, toPino, toWinston } from "./logging/receive.ts";
export type { LogTapeLogger, PinoLogger, WinstonLogger } from "./logging/receive.ts";
export type { LogLevel, LogRecord, RecordSink } from "./logging/record.ts";
