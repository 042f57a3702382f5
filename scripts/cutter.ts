/**
 * A relay between TCP connections that breaks them: after so many bytes, in one of several ways. What is said over them it does not know.
 *
 * @module
 */

/** How a connection is broken. */
export type Way = "close" | "half" | "stall" | "reset";

/** All ways. */
export const WAYS: readonly Way[] = ["close", "half", "stall", "reset"];

/** What becomes of a connection. */
export interface Fate {
  /** Bytes that pass, of both directions together, before it is broken; `Infinity` for one that is not. */
  readonly after: number;
  readonly way: Way;
}

/** A relay that runs. */
export interface Cutter extends AsyncDisposable {
  readonly port: number;
  /** Connections that neither side has let go of. */
  readonly held: number;
  /** What the next connection is in for. Each fate is for one. */
  expect(fate: Fate): void;
}

/** Passes bytes on, and breaks the connection when its time has come. */
class Relayed {
  readonly #near: Deno.Conn;
  readonly #far: Deno.Conn;
  readonly #way: Way;
  readonly #patience: number;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #left: number;
  #broken = false;

  constructor(near: Deno.Conn, far: Deno.Conn, fate: Fate, patience: number) {
    this.#near = near;
    this.#far = far;
    this.#left = fate.after;
    this.#way = fate.way;
    this.#patience = patience;
  }

  async run(): Promise<void> {
    await Promise.all([this.#pass(this.#near, this.#far), this.#pass(this.#far, this.#near)]);
    this.end();
  }

  /** Ends both sides now. */
  end(): void {
    clearTimeout(this.#timer);
    for (const conn of [this.#near, this.#far]) this.#end(conn);
  }

  #end(conn: Deno.Conn): void {
    try {
      conn.close();
    } catch { /* it is closed already */ }
  }

  async #pass(from: Deno.Conn, to: Deno.Conn): Promise<void> {
    const buffer = new Uint8Array(16_384);
    try {
      for (let size; (size = await from.read(buffer)) !== null;) {
        // Whoever does not read any more finds out by itself, as with a cable that was pulled.
        if (this.#broken && this.#way === "stall") continue;
        const part = buffer.subarray(0, Math.min(size, this.#left));
        this.#left -= part.length;
        for (let at = 0; at < part.length;) at += await to.write(part.subarray(at));
        if (this.#left > 0) continue;
        this.#broken = true;
        if (this.#way === "half") break;
        if (this.#way === "stall") {
          if (this.#patience < Infinity) this.#timer ??= setTimeout(() => this.end(), this.#patience);
          continue;
        }
        // With bytes that nobody has read, the system resets the connection instead of ending it.
        if (this.#way === "reset") await new Promise((resolve) => setTimeout(resolve, 1));
        this.#end(this.#near);
        this.#end(this.#far);
        return;
      }
      await to.closeWrite();
    } catch {
      // One side has broken it: the other one is to notice.
      this.#end(from);
      this.#end(to);
    }
  }
}

/**
 * Starts a relay.
 *
 * @param target The port of what it leads to, on loopback.
 * @param patience When it ends connections that have stalled, in milliseconds, as systems do in the end.
 */
export function startCutter(target: number, patience: number = Infinity): Cutter {
  const fates: Fate[] = [];
  const open = new Map<Relayed, Promise<void>>();
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const accepting = (async () => {
    for await (const near of listener) {
      const fate = fates.shift() ?? { after: Infinity, way: "close" };
      const far = await Deno.connect({ hostname: "127.0.0.1", port: target }).catch(() => undefined);
      if (!far) {
        near.close();
        continue;
      }
      const relayed = new Relayed(near, far, fate, patience);
      open.set(relayed, relayed.run().finally(() => open.delete(relayed)));
    }
  })();
  return {
    port: listener.addr.port,
    get held() {
      return open.size;
    },
    expect: (fate) => void fates.push(fate),
    async [Symbol.asyncDispose]() {
      listener.close();
      await accepting;
      for (const relayed of open.keys()) relayed.end();
      await Promise.all(open.values());
    },
  };
}
