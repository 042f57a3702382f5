/**
 * `across rsync`: copies a local directory to one or several machines, where nothing is installed.
 *
 * @module
 */

import { stat } from "node:fs/promises";
import process from "node:process";
import { parseArgs } from "@std/cli";
import { RSync } from "../gateways/rsync.ts";
import type { RSyncProgress, RSyncReport } from "../gateways/rsync.ts";
import type { Connection } from "../mod.ts";
import { refuseUnknown, UsageError } from "./command_line.ts";
import { Interruption } from "./fan_out.ts";
import { numberOf, setVerbosity } from "./options.ts";
import { targetsOf } from "./targets.ts";
import type { Target, TargetFlags } from "./targets.ts";
import { alarm, forMachines, heading, labelled, printError, printOut, progress } from "./terminal.ts";

/** What `across rsync --help` prints. */
export const RSYNC_HELP: string = `across rsync: copy a directory to one or several machines

Usage: across rsync [OPTION]... SOURCE --ssh HOST:DEST...

The content of SOURCE becomes the content of DEST on each machine, to all of them
at once. What is there already is not sent, of large files only what has changed.
Permissions, times, empty directories and links arrive; links are never followed.
Nothing but deno, node or bun has to be installed there.

Targets, as many as you like:
  --ssh HOST:DEST       a machine, as ssh knows it: HOST, USER@HOST
  --tcp HOST:PORT:DEST  a server, as "across serve" runs it
  --unix SOCKET:DEST    a server on a Unix socket
  --command CMD:DEST    whatever a shell command starts that speaks the protocol on
                        its stdin and stdout; DEST follows the last colon
  --local DEST          a bare interpreter on this machine

Options:
  --delete            delete over there what is not in SOURCE
  --runtime NAME      deno, node, bun or the path of one of them, for --ssh and
                      --local; without it what is found first
  --timeout SECONDS   give up after so long
  --secret-file FILE  the secret of the servers, for --tcp and --unix
  --json              print a line of JSON per target: target, ok, ms, and counts
  -v, -vv             name the files; tell what happens to connections, too
  -h, --help          print this

Exit code: 0 when everything was copied, 1 when a file or a target failed, 2 when
the command line is wrong, 130 after Ctrl-C (143 after SIGTERM).
`;

/** A target and where the files go there. */
interface Destination {
  readonly target: Target;
  /** What the user calls both. */
  readonly name: string;
  readonly path: string;
}

/** How a target and its directory are written, and where they are parted. */
const FORMS = {
  ssh: { form: "HOST:DEST", pattern: /^((?:[^@:[\]]*@)?(?:\[[^\]]*\]|[^:[\]]+)):(.+)$/s },
  tcp: { form: "HOST:PORT:DEST", pattern: /^((?:\[[^\]]*\]|[^:]*):\d+):(.+)$/s },
  unix: { form: "SOCKET:DEST", pattern: /^([^:]+):(.+)$/s },
  command: { form: "CMD:DEST", pattern: /^(.+):([^:]+)$/s },
} as const;

/** The flags whose value names a target and a directory. */
const KINDS = ["ssh", "tcp", "unix", "command"] as const;

/**
 * Parts a target from the directory: at the first colon that is not in brackets, for servers at the second one, for commands, which may well have
 * colons of their own, at the last one.
 */
export function partOf(flag: typeof KINDS[number], text: string): readonly [target: string, path: string] {
  const url = flag === "ssh" ? /^ssh:\/\/[^/]*/.exec(text)?.[0] : undefined;
  const { form, pattern } = FORMS[flag];
  const match = url === undefined ? pattern.exec(text) : [text, url, text.slice(url.length)];
  if (!match?.[1] || !match[2]) throw new UsageError(`Flag "--${flag}" needs ${form}, but was given "${text}"`);
  return [match[1], match[2]];
}

/** The flags as they were given. */
interface RSyncFlags {
  readonly ssh: readonly string[];
  readonly tcp: readonly string[];
  readonly unix: readonly string[];
  readonly command: readonly string[];
  readonly local: readonly string[];
  readonly runtime?: string;
  readonly timeout?: string;
  readonly "secret-file"?: string;
  readonly delete: boolean;
  readonly json: boolean;
  readonly help: boolean;
  readonly verbose: unknown;
  readonly _: readonly (string | number)[];
}

function destinationsOf(flags: RSyncFlags): Destination[] {
  const list: Destination[] = [];
  const add = (which: TargetFlags, path: string): void => {
    const choice = { runtime: flags.runtime, "secret-file": flags["secret-file"], ...which };
    for (const target of targetsOf(choice)) {
      const label = `${which.local ? "" : `${target.name}:`}${path}`;
      const same = list.filter(({ name }) => name === label).length;
      if (same > 0) throw new UsageError(`Target "${label}" was given twice`);
      list.push({ target, name: label, path });
    }
  };
  for (const flag of KINDS) {
    for (const text of flags[flag]) {
      const [name, path] = partOf(flag, text);
      add({ [flag]: [name] }, path);
    }
  }
  for (const path of flags.local) {
    if (path === "") throw new UsageError('Flag "--local" needs a value');
    add({ local: true }, path);
  }
  if (list.length === 0) throw new UsageError("There is no target: pass --ssh HOST:DEST");
  return list;
}

/** How much, for people. */
function amount(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  for (; bytes >= 1024 && unit < units.length - 1; unit++) bytes /= 1024;
  return `${unit === 0 || bytes >= 100 ? Math.round(bytes) : bytes.toFixed(1)} ${units[unit]}`;
}

const BAR = 20;

/** How far a target is, as a part of all, and for people. */
interface Bar {
  readonly part: number;
  readonly text: string;
}

/** The bar of a target. */
function bar(name: string, { bytes, totalBytes, sent, unchanged, complete }: RSyncProgress): Bar {
  const part = complete ? totalBytes === 0 ? 1 : bytes / totalBytes : 0;
  const full = Math.floor(BAR * part);
  const share = complete ? `${Math.floor(100 * part)}%` : "listing";
  const drawn = `[${"#".repeat(full)}${"-".repeat(BAR - full)}]`;
  return { part, text: `${name} ${drawn} ${share} ${sent + unchanged} files ${amount(bytes)}` };
}

/** The line of progress: a bar for each target, or, where these do not fit, that of the slowest one, which sets the pace for all. */
function line(bars: ReadonlyMap<string, Bar>): string {
  const all = [...bars.values()];
  const text = all.map((it) => it.text).join("  ");
  if (text.length < (process.stderr.columns ?? 80)) return text;
  const slowest = all.reduce((least, it) => it.part < least.part ? it : least);
  return `${all.length} targets, slowest ${slowest.text}`;
}

function print(report: RSyncReport, ms: number, json: boolean): void {
  const { target, sent, unchanged, deleted, failed, sentBytes, totalBytes, error, errors } = report;
  const ok = !error && failed === 0;
  if (json) {
    const counts = { sent, unchanged, deleted, failed, sentBytes, totalBytes };
    const wrong = ok ? {} : { ...(error && { error }), errors };
    return printOut(`${forMachines({ target, ok, ms, ...counts, ...wrong })}\n`);
  }
  for (const { message } of error ? [error] : errors) printError(`${alarm(target)}: ${message}\n`);
  const more = (count: number, what: string): string => count > 0 ? `, ${count} ${what}` : "";
  printOut(
    `${heading(target)}: ${sent} files sent (${amount(sentBytes)} of ${amount(totalBytes)}), ${unchanged} unchanged` +
      `${more(deleted, "deleted")}${more(failed, "failed")}\n`,
  );
}

/**
 * Runs the command.
 *
 * @param args What follows `rsync` on the command line.
 * @returns the exit code
 * @throws {UsageError} when the command line is wrong
 */
export async function rsync(args: readonly string[]): Promise<number> {
  const flags: RSyncFlags = parseArgs([...args], {
    boolean: ["help", "json", "delete", "verbose"],
    string: [...KINDS, "local", "runtime", "timeout", "secret-file"],
    collect: [...KINDS, "local", "verbose"],
    alias: { h: "help", v: "verbose" },
    unknown: refuseUnknown,
  });
  if (flags.help) {
    printOut(RSYNC_HELP);
    return 0;
  }
  const [source, ...rest] = flags._.map(String);
  if (source === undefined) throw new UsageError("There is no directory to copy");
  if (rest.length > 0) throw new UsageError(`The command rsync takes one directory, but was given "${rest[0]}", too`);
  if (!await stat(source).then((it) => it.isDirectory(), () => false)) {
    throw new UsageError(`Cannot find directory "${source}"`);
  }
  const seconds = numberOf("timeout", flags.timeout, 0.001);
  const destinations = destinationsOf(flags);
  const verbose = Array.isArray(flags.verbose) ? flags.verbose.filter(Boolean) : [];
  setVerbosity(verbose.slice(1));
  return await send(source, destinations, {
    json: flags.json,
    delete: flags.delete,
    verbose: verbose.length > 0,
    ...(seconds === undefined ? {} : { timeout: 1000 * seconds }),
  });
}

/** How files are sent and reported. */
interface How {
  readonly json: boolean;
  readonly delete: boolean;
  readonly verbose: boolean;
  readonly timeout?: number;
}

async function send(source: string, destinations: readonly Destination[], how: How): Promise<number> {
  const start = performance.now();
  const connections: Connection[] = [];
  using interruption = new Interruption(() => {
    for (const connection of connections) connection.cancel();
  });
  const late = new AbortController();
  const timer = how.timeout === undefined ? undefined : setTimeout(
    () => late.abort(new DOMException(`It took longer than ${how.timeout! / 1000} s`, "TimeoutError")),
    how.timeout,
  );
  const signal = AbortSignal.any([interruption.signal, late.signal]);
  const bars = new Map<string, Bar>();
  let shown = 0;
  const it = new RSync(source, {
    callback: ({ target, type, path, progress: state }) => {
      if (how.verbose && type !== "progress" && type !== "failed") printError(`${target}: ${path} ${type}\n`);
      bars.set(target, bar(target, state));
      // A terminal is not drawn more often than anybody can see.
      if (performance.now() - shown < 50) return;
      shown = performance.now();
      progress(line(bars));
    },
  });
  try {
    for (const { target, name, path } of destinations) {
      const connection = target.connect(destinations.length > 1 ? labelled(name) : undefined);
      connections.push(connection);
      it.addTarget({ id: name, connection }, path, { delete: how.delete });
      bars.set(name, { part: 0, text: `${name} connecting` });
    }
    progress(line(bars));
    const reports = await it.send({ raises: false, signal });
    progress();
    const ms = Math.round(performance.now() - start);
    if (reports.length === 0) throw new Error(`Cannot read "${source}"`);
    for (const report of reports) print(report, ms, how.json);
    return reports.every(({ error, failed }) => !error && failed === 0) ? 0 : 1;
  } catch (error) {
    progress();
    printError(`${alarm("error")}: ${(error as Error).message}\n`);
    return interruption.code ?? 1;
  } finally {
    clearTimeout(timer);
    if (signal.aborted) { for (const connection of connections) connection.cancel(); }
    await Promise.allSettled(connections.map((connection) => connection.close()));
    progress();
  }
}
