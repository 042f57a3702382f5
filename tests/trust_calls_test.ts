// Who may start what: the default of acceptCalls of every factory, what a server that one dials can do to its client, and what a client can reach of
// a server that only exposes something. What hand-made messages try is tested elsewhere, with the messages.

import { assert, assertEquals } from "@std/assert";
import type { OptionsInit } from "../mod.ts";
import { biosCommand, Connection, del, getBios, has, OperationError, ref, set } from "../mod.ts";
import { assertRejects } from "./support/assert_rejects.ts";
import { condition, noLeaks } from "./support/leaks.ts";
import { inPair, pipes } from "./support/pair.ts";

const PLAIN = import.meta.resolve("./fixtures/plain.mjs");

/** Has the peer of a connection, which must take calls itself, try to call back. */
async function callBack(conn: Connection): Promise<unknown> {
  return await conn.execute(`await (await import("@x/across")).getConnection().call(() => 42)`);
}

/** Checks the default of a factory, and that the option says otherwise where it is given. */
async function checkDefault(accepts: boolean, make: (options: OptionsInit) => Connection): Promise<void> {
  for (const acceptCalls of [undefined, true, false]) {
    const conn = make(acceptCalls === undefined ? {} : { acceptCalls });
    if (acceptCalls ?? accepts) assertEquals(await callBack(conn), 42);
    else await assertRejects(() => callBack(conn), Error, "acceptCalls");
    await conn.close();
  }
}

/** Something to connect to, whose ends take calls. */
async function listening(listener: Deno.Listener, body: () => Promise<void>): Promise<void> {
  const served: Promise<void>[] = [];
  const accepting = (async () => {
    for await (const socket of listener) {
      const conn = Connection.fromSocket(socket, { acceptCalls: true });
      served.push(conn.wait().then(() => conn.close()));
    }
  })();
  try {
    await body();
  } finally {
    listener.close();
    await accepting;
    await Promise.all(served);
  }
}

const overTcp = (body: (port: number) => Promise<void>): Promise<void> => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listening(listener, () => body(listener.addr.port));
};

Deno.test(
  "fromTcp() does not accept calls unless it is told to",
  noLeaks(() => overTcp((port) => checkDefault(false, (options) => Connection.fromTcp("127.0.0.1", port, options)))),
);

Deno.test(
  "fromUnix() does not accept calls unless it is told to",
  noLeaks(async () => {
    const folder = await Deno.makeTempDir();
    const path = `${folder}/socket`;
    await listening(
      Deno.listen({ transport: "unix", path }),
      () => checkDefault(false, (options) => Connection.fromUnix(path, options)),
    );
    await Deno.remove(folder, { recursive: true });
  }),
);

Deno.test(
  "fromCommand(), fromShell(), fromProcess() and fromSsh() do not accept calls unless they are told to",
  noLeaks(async () => {
    await checkDefault(false, (options) => Connection.fromCommand(biosCommand(), options));
    const script = getBios().replaceAll("'", `'\\''`);
    await checkDefault(
      false,
      (options) => Connection.fromShell(`${Deno.execPath()} eval --no-config '${script}'`, options),
    );
    await checkDefault(false, (options) => {
      const args = ["eval", "--no-config", getBios()];
      const child = new Deno.Command(Deno.execPath(), { args, stdin: "piped", stdout: "piped" }).spawn();
      return Connection.fromProcess(child, options);
    });
    // What stands for ssh runs the command here.
    const folder = await Deno.makeTempDir();
    const sshCommand = `${folder}/ssh`;
    await Deno.writeTextFile(sshCommand, `#!/bin/sh\nfor last; do :; done\nexec sh -c "$last"\n`, { mode: 0o755 });
    await checkDefault(
      false,
      (options) => Connection.fromSsh("wonderland", { ...options, sshCommand, runtime: Deno.execPath() }),
    );
    await Deno.remove(folder, { recursive: true });
  }),
);

Deno.test("fromPipes() and fromTransport() accept calls unless they are told not to", async () => {
  for (const kind of ["pipes", "transport"]) {
    const others: Connection[] = [];
    await checkDefault(true, (options) => {
      const [there, back] = pipes();
      others.push(Connection.fromPipes(there.readable, back.writable));
      const [readable, writable] = [back.readable, there.writable];
      if (kind === "pipes") return Connection.fromPipes(readable, writable, options);
      return Connection.fromTransport({ readable, writable, closed: Promise.resolve(), abort() {} }, options);
    });
    for (const other of others) {
      await other.wait();
      await other.close();
    }
  }
});

Deno.test(
  "fromSocket() accepts calls unless it is told not to",
  noLeaks(async () => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    for (const acceptCalls of [undefined, true, false]) {
      const accepted = listener.accept();
      const conn = Connection.fromTcp("127.0.0.1", listener.addr.port);
      const server = Connection.fromSocket(await accepted, acceptCalls === undefined ? {} : { acceptCalls });
      if (acceptCalls === false) await assertRejects(() => conn.call(() => 42), OperationError, "acceptCalls");
      else assertEquals(await conn.call(() => 42), 42);
      await conn.close();
      await server.close();
    }
  }),
);

Deno.test(
  "fromWebSocket() does not accept calls unless it is told to, whether it dialled or accepted",
  noLeaks(async () => {
    const accepted: Connection[] = [];
    let options: OptionsInit = { acceptCalls: true };
    const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
      const { socket, response } = Deno.upgradeWebSocket(request, { idleTimeout: 0 });
      accepted.push(Connection.fromWebSocket(socket, options));
      return response;
    });
    const url = `ws://127.0.0.1:${server.addr.port}`;
    await checkDefault(false, (options) => Connection.fromWebSocket(url, options));
    options = {};
    const conn = Connection.fromWebSocket(url);
    await assertRejects(() => conn.call(() => 42), OperationError, "acceptCalls");
    await conn.close();
    for (const it of accepted) await it.close();
    await server.shutdown();
  }),
);

Deno.test("fromPort() accepts calls unless it is told not to", async () => {
  const others: Connection[] = [];
  await checkDefault(true, (options) => {
    const { port1, port2 } = new MessageChannel();
    others.push(Connection.fromPort(port2));
    return Connection.fromPort(port1, options);
  });
  for (const other of others) {
    await other.wait();
    await other.close();
  }
});

Deno.test(
  "fromStdio() accepts calls unless it is told not to",
  noLeaks(async () => {
    const peer = new URL("./fixtures/remote/stdio_peer.ts", import.meta.url).pathname;
    for (const [argument, accepts] of [["open", true], ["closed", false]] as const) {
      const conn = Connection.fromCommand([Deno.execPath(), "run", "-A", peer, argument], { stderr: "null" });
      if (accepts) assertEquals(await conn.call(() => 42), 42);
      else await assertRejects(() => conn.call(() => 42), OperationError, "acceptCalls");
      await conn.close();
    }
  }),
);

/** A client that dialled a hostile server, which is what speaks in `body`. */
async function hostileServer(body: (server: Connection, client: Connection) => Promise<void>): Promise<void> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const accepted = listener.accept();
  const client = Connection.fromTcp("127.0.0.1", listener.addr.port);
  const server = Connection.fromSocket(await accepted);
  await Promise.all([client.ready(), server.ready()]);
  try {
    await body(server, client);
    assertEquals(await client.call(() => 42), 42); // and the client is none the worse for it
  } finally {
    await client.close();
    await server.close();
  }
}

Deno.test(
  "a hostile server that one dials can run, read and import nothing, whatever it asks for",
  noLeaks(() =>
    hostileServer(async (server) => {
      const marks = globalThis as { hostileMark?: unknown };
      const attempts: (() => PromiseLike<unknown>)[] = [
        () => server.call(() => (globalThis as { hostileMark?: unknown }).hostileMark = 1),
        () => server.callRef(() => globalThis),
        () => server.call(class Evil {}),
        () => server.call(Deno.readTextFile, "/etc/passwd"),
        () => server.call(structuredClone, 1),
        () => server.call(Map),
        () => server.execute("globalThis.hostileMark = 1"),
        () => server.execute("1"),
        () => server.import("node:fs/promises"),
        () => server.import(PLAIN),
        () => server.import("data:text/javascript,globalThis.hostileMark=1"),
        () => server.replicate({ a: 1 }),
        () => server.import<{ readFile(path: string): Promise<string> }>("node:fs/promises").readFile("/etc/passwd"),
      ];
      for (const attempt of attempts) await assertRejects(attempt, OperationError, "acceptCalls");
      await assertRejects(async () => await server.root<{ a: number }>().a, OperationError, "expose");
      await assertRejects(() => server.export(PLAIN), OperationError, "does not accept exported modules");
      assertEquals(marks.hostileMark, undefined);
    })
  ),
);

Deno.test(
  "a hostile server cannot make its client run code by what it answers",
  noLeaks(async () => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const accepted = listener.accept();
    const client = Connection.fromTcp("127.0.0.1", listener.addr.port);
    const marks: string[] = [];
    const answers: Record<string, unknown> = {
      nested: [{ deep: { then: ref(() => marks.push("then")) } }],
      convertible: { toString: ref(() => marks.push("toString")), toJSON: ref(() => marks.push("toJSON")) },
      proto: JSON.parse(`{"__proto__": {"polluted": true}, "constructor": {"prototype": {"polluted": true}}}`),
      getter: Object.defineProperty({}, "x", { enumerable: true, get: () => 1 }),
    };
    const server = Connection.fromSocket(await accepted, {
      acceptCalls: false,
      expose: { get: (key: string) => answers[key] },
    });
    const root = client.root<{ get(key: string): unknown }>();
    for (const key of Object.keys(answers)) await Promise.resolve(root.get(key)).catch(() => {});
    assertEquals(marks, []);
    assertEquals(({} as { polluted?: boolean }).polluted, undefined);
    await client.close();
    await server.close();
  }),
);

Deno.test(
  "a server that got a callback can call just that, and only as long as it holds it",
  noLeaks(() =>
    hostileServer(async (server, client) => {
      let calls = 0;
      const held = await client.callRef((callback: () => Promise<number>) => ({ use: () => callback() }), () => {
        calls++;
        return Promise.resolve(calls);
      });
      assertEquals(await held.use(), 1);
      await assertRejects(async () => await server.call(() => 1), OperationError, "acceptCalls");
      assertEquals(calls, 1);
    })
  ),
);

class Account {
  #secret = "the secret of an object";
  _protected = "not for the peer";
  balance = 5;
  name = "alice";
  static audit = "of the class";
  deposit(amount: number): number {
    return this.balance += amount;
  }
  _internal(): string {
    return this.#secret;
  }
  toString(): string {
    return `Account of ${this.name}`;
  }
  hasOwnProperty(): boolean {
    return true;
  }
}

/** A client that calls, and a server that only exposes. */
const restricted = (body: (client: Connection) => Promise<void>, expose: object): Promise<void> =>
  inPair(({ left }) => body(left), {}, { acceptCalls: false, acceptExportedModules: false, expose });

Deno.test("a restricted client reaches what root() exposes, and what that hands out", () =>
  restricted(async (client) => {
    type Api = { account: Account; open(): Account; constant: number };
    const root = client.root<Api>();
    assertEquals(await root.constant, 7);
    assertEquals(await root.account.deposit(1), 6);
    assertEquals(await root.account.name, "alice");
    for (const attempt of [() => client.call(() => 1), () => client.execute("1"), () => client.import("node:fs")]) {
      await assertRejects(attempt, OperationError, "acceptCalls");
    }
  }, { account: ref(new Account()), constant: 7, open: () => ref(new Account()) }));

Deno.test("names that are not public cannot be read, called, set, deleted or looked for, at any place of a path", () => {
  const api = { account: new Account(), fn: (a: number) => a, _hidden: 1, nested: { list: [1], _deep: 2 } };
  return restricted(async (client) => {
    type Loose = Record<string, never>;
    const root = client.root<Loose>();
    const names = ["_hidden", "__proto__", "constructor", "prototype", "__defineGetter__", "__lookupSetter__"];
    const builtIn = ["hasOwnProperty", "isPrototypeOf", "propertyIsEnumerable", "valueOf", "toLocaleString"];
    const ofFunctions = ["call", "apply", "bind", "caller", "arguments"];
    const deep = root["nested"] as unknown as Loose;
    const fn = root["fn"] as unknown as Loose;
    for (
      const [target, keys] of [[root, [...names, ...builtIn]], [deep, ["_deep", ...names]], [fn, ofFunctions]] as const
    ) {
      for (const key of keys) {
        await assertRejects(() => set(target as never, key as never, 1 as never), Error, key);
        await assertRejects(() => del(target as never, key as never), Error, key);
        await assertRejects(() => has(target as never, key as never), Error, key);
        const member = target[key] as unknown;
        if (member !== undefined && typeof member === "function" && key !== "valueOf") {
          await assertRejects(async () => await (member as () => PromiseLike<unknown>)(), Error);
        }
      }
    }
    assertEquals(api._hidden, 1);
    assertEquals(Object.keys(api.account), ["_protected", "balance", "name"]);
    assertEquals(api.fn(3), 3);
  }, api);
});

Deno.test("names of Object.prototype that an exposed class has of its own are ordinary", () =>
  restricted(async (client) => {
    type Api = { account: { hasOwnProperty(): Promise<boolean>; balance: number } };
    const root = client.root<Api>();
    // deno-lint-ignore no-prototype-builtins -- that it is the object's own is what is tested
    assertEquals(await root.account.hasOwnProperty(), true);
    assertEquals(await has(root.account as never, "balance" as never), true);
    assertEquals(await has(root.account as never, "nothing" as never), false);
  }, { account: ref(new Account()) }));

Deno.test("a restricted client cannot reach globals through what is exposed", () =>
  restricted(async (client) => {
    type Any = { [key: string]: Any } & (() => Any);
    const root = client.root<Any>();
    for (
      const path of [
        () => root["fn"]!["constructor"],
        () => root["list"]!["constructor"],
        () => root["fn"]!["call"],
        () => root["list"]!["map"]!["constructor"],
        () => root["account"]!["deposit"]!["constructor"],
      ]
    ) {
      const found = path();
      if (found === undefined) continue; // refused on our side already
      await assertRejects(async () => await found("return globalThis" as never), Error);
    }
  }, { fn: () => 1, list: ref([1]), account: ref(new Account()) }));

Deno.test("a restricted client is served on after everything that was refused", () =>
  restricted(async (client) => {
    const root = client.root<{ add(a: number, b: number): number }>();
    await Promise.all(Array.from({ length: 100 }, async (_, n) => {
      if (n % 2) assertEquals(await root.add(n, 1), n + 1);
      else await assertRejects(() => client.call(() => 1), OperationError, "acceptCalls");
    }));
    await condition(() => client.status().callsInFlight === 0, "nothing is in flight");
    assert(client.isConnected());
  }, { add: (a: number, b: number) => a + b }));
