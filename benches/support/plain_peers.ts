/**
 * What across is measured against: a hand-written echo of JSON, one message a line, over the pipes of a child; Node's own IPC; and bytes that come
 * back through bare pipes. Written as one would who wants them fast, for Deno and for Node.
 *
 * @module
 */

// deno-lint-ignore-file no-explicit-any -- both runtimes' streams, and messages of any kind

const deno = (globalThis as any).Deno as typeof Deno | undefined;

/** Two pipes to a child. */
interface Pipes {
  write(bytes: Uint8Array): Promise<void> | void;
  /** Says who takes what arrives; chunks are valid during the call only. */
  read(data: (chunk: Uint8Array) => void): void;
  close(): Promise<unknown>;
}

/** Starts an interpreter of our own kind on a script, by the means that across has for that, too. */
async function startPipes(script: string): Promise<Pipes> {
  if (deno) {
    const args = ["eval", "--no-config", script];
    const child = new deno.Command(deno.execPath(), { args, stdin: "piped", stdout: "piped" }).spawn();
    const writer = child.stdin.getWriter();
    const reader = child.stdout.getReader({ mode: "byob" });
    return {
      write: (bytes) => writer.write(bytes),
      async read(data) {
        let buffer = new ArrayBuffer(1 << 16);
        for (;;) {
          const { value, done } = await reader.read(new Uint8Array(buffer));
          if (done) return;
          data(value);
          buffer = value.buffer;
        }
      },
      close: () => writer.close().then(() => child.status),
    };
  }
  const { spawn } = await import("node:child_process");
  const child = spawn((globalThis as any).process.execPath, ["-e", script], { stdio: ["pipe", "pipe", "inherit"] });
  const { stdin, stdout } = child as any;
  return {
    write: (bytes) => stdin.write(bytes) ? undefined : new Promise((resolve) => stdin.once("drain", resolve)),
    read: (data) => void stdout.on("data", data),
    close: () => new Promise((resolve) => stdin.end(() => child.on("exit", resolve))),
  };
}

/** One side of the hand-written protocol. Its text travels, so it uses nothing from around it. */
function jsonPeer(send: (message: any) => void): { call(value: unknown): Promise<any>; take(message: any): void } {
  const waiting = new Map<number, (result: any) => void>();
  let last = 0;
  const ask = (fields: object): Promise<any> =>
    new Promise((resolve) => {
      waiting.set(++last, resolve);
      send({ id: last, ...fields });
    });
  const call = (value: unknown): Promise<any> =>
    new Promise((resolve) => {
      waiting.set(++last, resolve);
      send({ id: last, value });
    });
  return {
    call: (value) => typeof value === "object" && (value as any).loop ? ask(value as object) : call(value),
    take(message) {
      const { id } = message;
      if ("result" in message) {
        const resolve = waiting.get(id)!;
        waiting.delete(id);
        resolve(message.result);
      } else if (message.loop) {
        (async () => {
          for (let i = 0; i < message.loop; i++) await call(i);
          send({ id, result: null });
        })();
      } else send({ id, result: message.value });
    },
  };
}

/** Makes messages lines, one write for each turn, and lines messages. Its text travels, too. */
function jsonLines(
  make: typeof jsonPeer,
  write: (bytes: Uint8Array) => unknown,
): { peer: ReturnType<typeof jsonPeer>; data(chunk: Uint8Array): void } {
  const encoder = new TextEncoder(), decoder = new TextDecoder();
  let out = "", rest = "";
  const flush = () => {
    const bytes = encoder.encode(out);
    out = "";
    write(bytes);
  };
  const peer = make((message) => {
    if (!out) queueMicrotask(flush);
    out += JSON.stringify(message) + "\n";
  });
  return {
    peer,
    data(chunk) {
      const lines = decoder.decode(chunk, { stream: true }).split("\n");
      lines[0] = rest + lines[0];
      rest = lines.pop()!;
      for (const line of lines) peer.take(JSON.parse(line));
    },
  };
}

const DENO_LOOP = `const buffer = new Uint8Array(65536);
for (let n; (n = await Deno.stdin.read(buffer)) !== null;) data(buffer.subarray(0, n));`;
const DENO_WRITE = `bytes => { while (bytes.length) bytes = bytes.subarray(Deno.stdout.writeSync(bytes)) }`;
const NODE_LOOP = `process.stdin.on("data", data);`;
const NODE_WRITE = `bytes => process.stdout.write(bytes)`;

/** What answers calls, whatever carries them. */
export interface Peer {
  /** Gets the value back. */
  call(value: unknown): Promise<any>;
  /** Has the other side call us so many times, one after the other. */
  callBack(count: number): Promise<unknown>;
  close(): Promise<unknown>;
}

/** The hand-written echo. */
export async function startJson(): Promise<Peer> {
  const script = `const { data } = (${jsonLines})(${jsonPeer}, ${deno ? DENO_WRITE : NODE_WRITE});
${deno ? DENO_LOOP : NODE_LOOP}`;
  const pipes = await startPipes(script);
  const { peer, data } = jsonLines(jsonPeer, pipes.write);
  pipes.read(data);
  return { call: peer.call, callBack: (loop) => peer.call({ loop }), close: pipes.close };
}

/** Node's `fork` with its structured clone. Not in Deno. */
export async function startFork(): Promise<Peer | undefined> {
  if (deno) return;
  const { fork } = await import("node:child_process");
  const { mkdtempSync, rmSync, writeFileSync } = await import("node:fs");
  const { tmpdir } = await import("node:os");
  const folder = mkdtempSync(`${tmpdir()}/bench-`);
  writeFileSync(
    `${folder}/child.cjs`,
    `const peer = (${jsonPeer})(message => process.send(message)); process.on("message", peer.take);`,
  );
  const child = fork(`${folder}/child.cjs`, [], { serialization: "advanced" });
  const peer = jsonPeer((message) => void child.send(message));
  child.on("message", peer.take);
  const exit = new Promise((resolve) => child.on("exit", resolve));
  return {
    call: peer.call,
    callBack: (loop) => peer.call({ loop }),
    close() {
      child.disconnect();
      return exit.then(() => rmSync(folder, { recursive: true }));
    },
  };
}

/** Bytes there and back through bare pipes. */
export interface RawPipe {
  echo(bytes: Uint8Array): Promise<Uint8Array>;
  close(): Promise<unknown>;
}

/** The child sends back what it has while more arrives, so both directions are busy at the same time. */
const STREAMING = deno
  ? `const buffer = new Uint8Array(65536);
for (let n; (n = await Deno.stdin.read(buffer)) !== null;)
  for (let at = 0; at < n;) at += Deno.stdout.writeSync(buffer.subarray(at, n));`
  : `process.stdin.pipe(process.stdout)`;

/** The child waits until it has everything, as whoever passes a value on must. The length goes ahead. */
const WHOLE = `let bytes, at = 0;
const data = chunk => {
  if (!bytes) bytes = new Uint8Array(Number(new TextDecoder().decode(chunk.subarray(0, 12)))), chunk = chunk.subarray(12);
  bytes.set(chunk, at);
  at += chunk.length;
  if (at < bytes.length) return;
  (${deno ? DENO_WRITE : NODE_WRITE})(bytes);
  bytes = undefined;
  at = 0;
};
${deno ? DENO_LOOP : NODE_LOOP}`;

/**
 * Bytes through bare pipes, which are collected in one buffer here.
 *
 * @param whole Whether the child collects them, too, before it sends them back.
 */
export async function startRaw(whole: boolean): Promise<RawPipe> {
  const pipes = await startPipes(whole ? WHOLE : STREAMING);
  let into = new Uint8Array(0), at = 0;
  let finish = () => {};
  pipes.read((chunk) => {
    into.set(chunk, at);
    at += chunk.length;
    if (at === into.length) finish();
  });
  return {
    async echo(bytes) {
      into = new Uint8Array(bytes.length);
      at = 0;
      const done = new Promise<void>((resolve) => finish = resolve);
      if (whole) pipes.write(new TextEncoder().encode(String(bytes.length).padStart(12)));
      // In pieces, as one does with a stream whose other side is slower.
      for (let from = 0; from < bytes.length; from += 1 << 18) {
        await pipes.write(bytes.subarray(from, from + (1 << 18)));
      }
      await done;
      return into;
    },
    close: pipes.close,
  };
}
