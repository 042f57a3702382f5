/**
 * Processes whose stdio is a wire (`tests/fixtures/wire_far_end.ts`), with every kind of descriptor that a process can be started with, and the
 * other end of it in the hands of the test.
 *
 * @module
 */

import { join } from "@std/path";
import { condition } from "./leaks.ts";
import type { Runtime } from "./runtimes.ts";
import { runtime } from "./runtimes.ts";

/** What stdin and stdout of the process are. */
export type Stdio = "pipes" | "moved pipes" | "non-blocking pipes" | "one socket" | "one non-blocking socket";

/** All of them. */
export const STDIO: readonly Stdio[] = [
  "pipes",
  "moved pipes",
  "non-blocking pipes",
  "one socket",
  "one non-blocking socket",
];

/** The end of the wire that the test has. */
export interface NearEnd {
  /** Writes all of a chunk. */
  write(chunk: Uint8Array): Promise<void>;
  /** Ends our direction, and only ours. */
  end(): Promise<void>;
  /** What the far end writes, until it ends its direction. */
  read(): AsyncIterable<Uint8Array>;
  /** Nobody reads here any more. */
  leave(): Promise<void>;
}

function overPipes({ stdin, stdout }: Deno.ChildProcess): NearEnd {
  const writer = stdin.getWriter();
  const reader = stdout.getReader();
  return {
    write: (chunk) => writer.write(chunk),
    end: () => writer.close(),
    async *read() {
      for (let it; !(it = await reader.read()).done;) yield it.value;
    },
    async leave() {
      await reader.cancel();
      await writer.abort().catch(() => {});
    },
  };
}

function overSocket(conn: Deno.Conn): NearEnd {
  let open = true;
  return {
    async write(chunk) {
      while (chunk.length > 0) chunk = chunk.subarray(await conn.write(chunk));
    },
    end: () => conn.closeWrite(),
    async *read() {
      const buffer = new Uint8Array(65536);
      for (let size; (size = await conn.read(buffer)) !== null;) yield buffer.slice(0, size);
    },
    leave() {
      if (open) conn.close();
      open = false;
      return Promise.resolve();
    },
  };
}

/** A running far end. */
export interface FarEnd extends NearEnd {
  /** What it reported so far. */
  log(): string;
  /** Waits until it reported something, and gives the match. */
  until(pattern: RegExp): Promise<RegExpMatchArray>;
  /** Its exit status, as text with what it reported. */
  ended(): Promise<string>;
  /** Ends it by force, where it has not ended. */
  kill(): void;
}

/** Makes the descriptors 5 and 6 non-blocking, which whoever shares the open file sees. Node puts back its standard descriptors at exit. */
const UNBLOCK = `const { Socket } = require("node:net"); for (const fd of [5, 6]) new Socket({ fd }); process.exit()`;

/** Gives a program one socket as stdin and stdout. */
const CONNECT = `
  const { spawn } = require("node:child_process");
  const [path, program, ...args] = process.argv.slice(1);
  const socket = require("node:net").connect(path, () => {
    const child = spawn(program, args, { stdio: [socket, socket, "inherit"] });
    socket.destroy();
    child.on("exit", (code, signal) => process.exit(signal ? 99 : code));
    process.on("SIGTERM", () => child.kill("SIGKILL"));
  });`;

/** The argv that runs the far end. */
export const farArgs = ({ name, path }: Runtime, program: string, ...args: string[]): string[] => [
  path,
  ...(name === "deno" ? ["run", "-A", "--no-config", "--no-check"] : []),
  program,
  ...args,
];

/**
 * Starts a far end.
 *
 * @param it Its runtime.
 * @param program The bundled fixture.
 * @param stdio What its stdin and stdout are.
 * @param args What it does.
 * @returns the other end
 */
export async function farEnd(it: Runtime, program: string, stdio: Stdio, ...args: string[]): Promise<FarEnd> {
  let argv = farArgs(it, program, ...args);
  const node = (await runtime("node", 20)).path;
  const shell = (text: string, ...more: string[]) => argv = ["sh", "-c", text, "sh", ...argv, ...more];
  if (stdio === "moved pipes") shell(`exec "$@" 4<&0 0</dev/null 3>&1 1>&2`, ...args.length < 2 ? ["0"] : [], "4", "3");
  if (stdio.includes("non-blocking")) {
    shell(`"$NODE" -e "$UNBLOCK" 5<&0 6>&1 0</dev/null 1>&2 || exit 98; exec "$@"`);
  }
  const socket = stdio.includes("socket");
  const folder = socket ? await Deno.makeTempDir() : "";
  const path = join(folder, "s");
  const listener = socket ? Deno.listen({ transport: "unix", path }) : undefined;
  if (socket) argv = [node, "-e", CONNECT, path, ...argv];
  const child = new Deno.Command(argv[0]!, {
    args: argv.slice(1),
    stdin: socket ? "null" : "piped",
    stdout: socket ? "null" : "piped",
    stderr: "piped",
    env: { NODE: node, UNBLOCK, NO_COLOR: "1" },
  }).spawn();
  let log = "";
  const logged = child.stderr.pipeThrough(new TextDecoderStream()).pipeTo(
    new WritableStream({ write: (text) => void (log += text) }),
  );
  let near: NearEnd;
  if (listener) {
    near = overSocket(await listener.accept());
    listener.close();
    await Deno.remove(folder, { recursive: true });
  } else {
    near = overPipes(child);
  }
  return {
    ...near,
    log: () => log,
    async until(pattern) {
      return await condition(() => log.match(pattern), `${pattern} is reported`).catch((error) => {
        throw new Error(`${error.message}; there was: ${log.slice(-2000)}`);
      });
    },
    async ended() {
      const { code, signal } = await child.status;
      await logged;
      return `${signal ?? code} ${log}`;
    },
    kill() {
      try {
        child.kill(socket ? "SIGTERM" : "SIGKILL");
      } catch {
        // It has ended.
      }
    },
  };
}
