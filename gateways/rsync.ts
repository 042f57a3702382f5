/**
 * `RSync`: one directory to many places at once, over connections, where nothing is installed over there.
 *
 * @example
 * ```ts
 * import { biosCommand, Connection } from "@x/across";
 * import { RSync } from "@x/across/rsync";
 *
 * await using connection = Connection.fromCommand(biosCommand()); // or Connection.fromSsh("wonderland")
 * const [source, destination] = [await Deno.makeTempDir(), await Deno.makeTempDir()];
 * await Deno.writeTextFile(`${source}/hello.txt`, "Hello");
 *
 * const rsync = new RSync(source);
 * rsync.addTarget({ connection }, destination);
 * await rsync.send();
 * console.log(await Deno.readTextFile(`${destination}/hello.txt`)); // Hello
 * ```
 *
 * @module
 */

import type { Connection } from "../mod.ts";
import { TreeFiles } from "../runtime/tree_files.ts";
import type { ReceiveInit } from "./rsync_messages.ts";
import type { RSyncEntry } from "./rsync_scan.ts";
import { scan } from "./rsync_scan.ts";
import { Sender } from "./rsync_sender.ts";
import { Target } from "./rsync_target.ts";

export { receiveTree } from "./rsync_receiver.ts";
export type { Answer, Entry, Failure, List, Message, ReceiveInit, Small, Want } from "./rsync_messages.ts";
export type { RSyncEntry } from "./rsync_scan.ts";

/** Errors of files that a report keeps; it counts all. */
const ERRORS = 1000;

/** Whatever has a connection: a gateway, or `{ connection }`. */
export interface RSyncGateway {
  /** Over which files are sent. The far side must accept calls, as every end that was booted does. */
  readonly connection: Connection;
  /** What the target is called in events and errors. */
  readonly id?: string;
}

/** How far a target is. */
export interface RSyncProgress {
  /** Files, directories and links that were listed by now. */
  readonly listed: number;
  /** Whether that is all there are. */
  readonly complete: boolean;
  /** Bytes of the files that were listed by now. */
  readonly totalBytes: number;
  /** Bytes of those of them that are as they should be over there, or have failed. */
  readonly bytes: number;
  /** Bytes of content that were sent: less than the above where something was there already. */
  readonly sentBytes: number;
  /** Files that were sent, and those that were there already. */
  readonly sent: number;
  /** Likewise. */
  readonly unchanged: number;
  /** Entries that were deleted; a directory counts as one. */
  readonly deleted: number;
  /** What failed. */
  readonly failed: number;
}

/** Something that happened to a target. */
export interface RSyncEvent {
  /** A file arrived, something was deleted, something failed, or more was sent or arrived. */
  readonly type: "sent" | "deleted" | "failed" | "progress";
  /** Which target: the id of its gateway, or its number. */
  readonly target: string;
  /** The destination directory there. */
  readonly destination: string;
  /** The path below it; not with `progress`. */
  readonly path?: string;
  /** With `failed`: why. */
  readonly error?: RSyncFileError;
  /** How far the target is. */
  readonly progress: RSyncProgress;
}

/** What came of one target. */
export interface RSyncReport extends RSyncProgress {
  /** Which target. */
  readonly target: string;
  /** The destination directory there. */
  readonly destination: string;
  /** Of each file that did not arrive, up to 1,000 of them. */
  readonly errors: readonly RSyncFileError[];
  /** Why the target as a whole failed, if it did. */
  readonly error?: Error;
}

/** What {@linkcode RSync} takes. */
export interface RSyncInit {
  /** Is told what happens. What it throws ends the target that it was about. */
  callback?: (event: RSyncEvent) => void;
  /**
   * Says what belongs to the tree; of a directory that does not, nothing does. With `delete`, what does not belong to it is deleted over there.
   *
   * @param path Below the source, with `/` between names.
   * @param entry What it is.
   */
  filter?: (path: string, entry: RSyncEntry) => boolean;
  /** Whether to say on stderr which files are sent. */
  verbose?: boolean;
}

/** How one target is treated. */
export interface RSyncTargetInit {
  /** Whether what is not in the source is deleted over there. Default: false. */
  delete?: boolean;
  /** Is told when this target is done, well or not. */
  finished?: (report: RSyncReport) => void;
}

/** How a tree is sent. */
export interface RSyncSendInit {
  /** Whether to reject when anything failed, or only to report it. Default: true. */
  raises?: boolean;
  /** Ends it. What arrived by then stays. */
  signal?: AbortSignal;
}

/** One file did not arrive. */
export class RSyncFileError extends Error {
  static {
    this.prototype.name = "RSyncFileError";
  }
  /** Below the source or the destination. */
  readonly path: string;

  /**
   * Says which file, where, and why.
   *
   * @param path Below the source or the destination.
   * @param destination Where it did not arrive.
   * @param cause Why.
   */
  constructor(path: string, destination: string, cause: Error) {
    super(`Cannot copy ${JSON.stringify(path)} to ${destination}: ${cause.message}`, { cause });
    this.path = path;
  }
}

/** Not everything arrived. `errors` has what went wrong, of all targets. */
export class RSyncError extends AggregateError {
  static {
    this.prototype.name = "RSyncError";
  }
  /** What came of each target, in their order. */
  readonly reports: readonly RSyncReport[];

  /**
   * Collects the errors of the targets.
   *
   * @param reports What came of each.
   */
  constructor(reports: readonly RSyncReport[]) {
    const errors = reports.flatMap(({ error, errors }): readonly Error[] => error ? [error, ...errors] : errors);
    const failed = reports.reduce((sum, { failed, error }) => sum + failed + (error ? 1 : 0), 0);
    super(errors, `Not everything was copied: ${errors[0]?.message}${failed > 1 ? `, and ${failed - 1} more` : ""}`);
    this.reports = reports;
  }
}

/** A target as it was added. */
interface Added {
  readonly gateway: RSyncGateway;
  readonly destination: string;
  readonly init: RSyncTargetInit;
}

/**
 * Copies a directory to many places at once, and reads each file once for all of them.
 *
 * What is there already is not sent: files of the same size and time are left alone; of others with the same content only time and permissions are
 * set; of large ones only the blocks are sent that are not there. Permissions, times, empty directories and links arrive. Links are never followed,
 * on neither side: one that leads into the tree leads into the copy, any other one leads where it led. Files appear whole, under their names, or not
 * at all. What cannot be read or written is an error of that one file.
 *
 * @example Two machines, deleting what is not in the source
 * ```ts ignore
 * import { Connection } from "@x/across";
 * import { RSync } from "@x/across/rsync";
 *
 * const rsync = new RSync("./site", { filter: (path) => !path.endsWith(".map") });
 * for (const host of ["alice", "bob"]) {
 *   rsync.addTarget({ id: host, connection: Connection.fromSsh(host) }, "/srv/site", { delete: true });
 * }
 * for (const { target, sent, unchanged } of await rsync.send()) console.log(target, sent, unchanged);
 * ```
 */
export class RSync {
  readonly #source: string;
  readonly #init: RSyncInit;
  readonly #targets: Added[] = [];

  /**
   * Prepares to send a directory; {@linkcode RSync.send} sends it.
   *
   * @param sourceDir The directory whose content is sent, as a path or `file:` URL.
   * @param init What to be told, and what to leave out.
   */
  constructor(sourceDir: string | URL, init: RSyncInit = {}) {
    this.#source = sourceDir instanceof URL ? decodeURIComponent(sourceDir.pathname) : sourceDir;
    if (typeof this.#source !== "string" || this.#source === "") {
      throw new TypeError("Cannot send without a directory: pass its path");
    }
    check("RSync", init, { callback: "function", filter: "function", verbose: "boolean" });
    this.#init = init;
  }

  /**
   * Adds a place where the content goes.
   *
   * @param gateway A gateway, or anything with a `connection`.
   * @param destDir The directory there that becomes the copy; it is made if it is not there.
   * @param init How it is treated.
   * @throws {TypeError} If there is no connection or no directory, or an option makes no sense.
   */
  addTarget(gateway: RSyncGateway, destDir: string, init: RSyncTargetInit = {}): void {
    if (typeof Object(Object(gateway).connection).import !== "function") {
      throw new TypeError("Cannot send without a connection: pass a gateway, or { connection }");
    }
    if (typeof destDir !== "string" || destDir === "") {
      throw new TypeError("Cannot send to no directory: pass its path over there");
    }
    check("addTarget", init, { delete: "boolean", finished: "function" });
    this.#targets.push({ gateway, destination: destDir, init });
  }

  /**
   * Sends the directory to all targets. Can be called again to send what has changed.
   *
   * @param init Whether failures reject, and a signal.
   * @returns What came of each target, in the order in which they were added.
   * @throws {Error} If there is no target, or the source is no directory; not with `raises: false`, which gives an empty list.
   * @throws {RSyncError} If anything else failed, when everything that could be sent was; not with `raises: false`.
   */
  async send(init: RSyncSendInit = {}): Promise<RSyncReport[]> {
    check("send", init, { raises: "boolean", signal: "object" });
    const { raises = true, signal } = init;
    if (this.#targets.length === 0) {
      if (!raises) return [];
      throw new Error(`Cannot send "${this.#source}" as there is no target: call addTarget()`);
    }
    signal?.throwIfAborted();
    const files = await TreeFiles.load();
    const named = files.resolve(this.#source);
    let root: string, top: { readonly mode: number; readonly time: number };
    try {
      root = files.realPath(named);
      const info = files.follow(root);
      if (info.kind !== "directory") throw new Error("it is no directory");
      top = info;
    } catch (cause) {
      if (!raises) return [];
      throw new Error(`Cannot send "${this.#source}": ${(cause as Error).message}`, { cause });
    }
    const reports = await this.#send(files, root, named, top, signal);
    signal?.throwIfAborted();
    if (raises && reports.some(({ error, failed }) => error || failed > 0)) throw new RSyncError(reports);
    return reports;
  }

  async #send(
    files: TreeFiles,
    root: string,
    named: string,
    { mode, time }: Pick<ReceiveInit, "mode" | "time">,
    signal: AbortSignal | undefined,
  ): Promise<RSyncReport[]> {
    const { callback, filter = () => true, verbose } = this.#init;
    const runs = this.#targets.map(({ gateway, destination, init }, index) => {
      const name = gateway.id ?? String(index + 1);
      const errors: RSyncFileError[] = [];
      let failed = 0;
      const progress = (): RSyncProgress => ({
        listed: sender.listed,
        complete: sender.complete,
        totalBytes: sender.bytes,
        bytes: target.settled,
        sentBytes: target.sent,
        sent: target.files,
        unchanged: target.unchanged,
        deleted: target.deleted,
        failed,
      });
      const tell = (type: RSyncEvent["type"], path?: string, cause?: Error): void => {
        const error = cause && new RSyncFileError(path ?? ".", destination, cause);
        if (error && failed++ < ERRORS) errors.push(error);
        if (verbose && type !== "progress") {
          console.error(error ? `${name}: ${error.message}` : `${name}: ${path} ${type}`);
        }
        callback?.({
          type,
          target: name,
          destination,
          ...(path === undefined ? {} : { path }),
          ...(error && { error }),
          progress: progress(),
        });
      };
      const target = new Target({
        connection: gateway.connection,
        destination,
        receive: { delete: init.delete ?? false, mode, time },
        signal,
        tell,
      });
      const report = (): RSyncReport => ({
        ...progress(),
        target: name,
        destination,
        errors,
        ...(target.lost && { error: target.lost }),
      });
      return { target, tell, report, init };
    });
    /** An error of a callback is one of the target that it was about. */
    const each = (what: (run: typeof runs[number]) => void): void => {
      for (const run of runs) {
        if (run.target.lost) continue;
        try {
          what(run);
        } catch (error) {
          run.target.lose(error);
        }
      }
    };
    const sender: Sender = new Sender(
      files,
      root,
      runs.map(({ target }) => target),
      () => each(({ tell }) => tell("progress")),
    );
    const stop = (): void => each(({ target }) => target.lose(signal!.reason));
    signal?.addEventListener("abort", stop);
    try {
      await sender.run(scan(files, root, [named], filter), (path, error) => {
        each(({ tell }) => tell("failed", path, error instanceof Error ? error : new Error(String(error))));
      });
    } finally {
      signal?.removeEventListener("abort", stop);
    }
    each(({ tell }) => tell("progress"));
    return runs.map(({ report, init }) => {
      const it = report();
      init.finished?.(it);
      return it;
    });
  }
}

/** @throws {TypeError} If options are unknown or of the wrong type. */
function check(what: string, init: object, types: { readonly [name: string]: string }): void {
  for (const [name, value] of Object.entries(init)) {
    if (!Object.hasOwn(types, name)) throw new TypeError(`Unknown option "${name}" of ${what}`);
    if (value !== undefined && typeof value !== types[name]) {
      throw new TypeError(`Cannot use a ${typeof value} as option ${name} of ${what}: it takes a ${types[name]}`);
    }
  }
}
