/**
 * Types of calls, chains, proxies and arguments. Nothing here runs: what must be accepted, refused and inferred is tested by the type check that
 * comes before the tests, and by `deno check`.
 *
 * @module
 */

import type { CallScope, Connection, Pending, Received, Reference, Remote, RemotePromise } from "../mod.ts";
import { copy, del, has, keep, ref, release, set, ship } from "../mod.ts";

type Equal<A, B> = (<X>() => X extends A ? 1 : 2) extends (<X>() => X extends B ? 1 : 2) ? true : false;

/** Fails to check where `A`, the type of what is passed, is not exactly `B`. */
function is<B>(): <A>(value: A, equal: Equal<A, B>) => void {
  return () => {};
}

// The far side.

class User {
  name: string = "";
  profile: { city: string; friends: User[] } = { city: "", friends: [] };
  greet(who: string): string {
    return who;
  }
}

class Counter {
  value: number = 0;
  name: string = "c";
  length: number = 3;
  then: number = 1;
  _hidden: number = 2;
  readonly #start: number;
  constructor(start: number = 0, _label?: string) {
    this.#start = start;
  }
  add(_by: number): this {
    return this;
  }
  async slow(): Promise<Counter> {
    return await Promise.resolve(this);
  }
  call(x: number): string {
    return String(x + this.#start);
  }
  get both(): number {
    return 1;
  }
  static readonly made: number = 5;
}

abstract class Shape {
  abstract area(): number;
}

class Directory {
  find(_name: string): User | undefined {
    return undefined;
  }
  either(): User | Counter {
    return new User();
  }
  watch(_callback: (user: User) => void): () => void {
    return () => {};
  }
  each(_visit: (user: User) => unknown): void {}
  filter(_test: (user: User) => boolean | Promise<boolean>): User[] {
    return [];
  }
  synchronous(_test: (user: User) => boolean): void {}
  async *all(): AsyncGenerator<User> {}
  *numbers(): Generator<number> {}
  get(key: "user"): User;
  get(key: "count"): number;
  get(key: string): unknown {
    return key;
  }
}

interface Api {
  users: Directory;
  version: string;
  maybe?: { deep: number };
  add(a: number, b: number): number;
  nested: { deep: { fn(x: string): Promise<number> } };
  readonly Counter: typeof Counter;
}

declare function census(
  dir: string,
  progress?: (n: number) => void,
  signal?: AbortSignal,
): Promise<Map<string, number>>;
declare function openDirectory(path: string): Directory;
declare function opened(): Reference<Directory>;
declare function openedIn(): { inner: Reference<Directory>; n: number };
declare function useDirectory(theirs: Remote<Directory>, ours: Directory): void;
declare function overloaded(a: string): string;
declare function overloaded(a: number): number;
declare function generic<T>(x: T): T;
declare function generate(): Generator<number>;
declare function plain(value: { list: number[]; map: Map<string, Date>; user: User }): void;

/** Functions by name, by source, and what they return. */
export async function calls(conn: Connection): Promise<void> {
  is<Map<string, number>>()(await conn.call(census, "/home"), true);
  await conn.call(census, "/home", (n) => void n.toFixed(), AbortSignal.timeout(5));
  is<number>()(await conn.call((a: number, b: number) => a + b, 1, 2), true);
  is<string[]>()(await conn.call(async () => await Promise.resolve(["a"])), true);
  // @ts-expect-error an argument of another type
  conn.call(census, 5);
  // @ts-expect-error an argument too few
  conn.call(census);
  // @ts-expect-error no function
  conn.call("census", "/home");
  is<number>()(await conn.call(overloaded, 5), true); // the last overload
  is<unknown>()(await conn.call(generic, 5), true); // type parameters become their constraints
  // deno-lint-ignore no-explicit-any -- what JSON.parse gives
  is<any>()(await conn.call(JSON.parse, "1"), true);
  is<string>()(await conn.call(Deno.readTextFile, "/x"), true);
  is<number>()(await conn.call(Math.max, 1, 2, 3), true);
  is<void>()(await conn.call(() => {}), true);
  is<never>()(
    await conn.call((): never => {
      throw new Error("never");
    }),
    true,
  );
  is<number>()(await conn.execute<number>("a + b", { a: 1, b: 2 }), true);
  is<unknown>()(await conn.execute("1"), true);
}

/** Classes are constructed. */
export async function construction(conn: Connection): Promise<void> {
  is<Counter>()(await conn.call(Counter, 5), true);
  using counter = await conn.callRef(Counter, 5, "label");
  is<Remote<Counter>>()(counter, true);
  is<number>()(await conn.callRef(Counter).add(1).value, true);
  is<Remote<Map<string, number>>>()(await conn.callRef(Map<string, number>, [["a", 1]]), true);
  is<number | undefined>()(await conn.callRef(Map<string, number>, [["a", 1]]).get("a"), true);
  is<Date>()(await conn.call(Date, 0), true);
  // @ts-expect-error an argument of another type
  conn.callRef(Counter, "five");
  const root = conn.root<Api>();
  using made = await new root.Counter(3);
  is<Remote<Counter>>()(made, true);
  is<number>()(await new root.Counter(3).add(1).value, true);
  is<number>()(await root.Counter.made, true);
  is<Counter>()(await conn.call(root.Counter, 3), true);
  const module = await conn.import<{ Counter: typeof Counter }>("./counter.ts");
  is<string>()(await new module.Counter().call(1), true);
  // @ts-expect-error an argument of another type
  new module.Counter("three");
  is<Shape>()(await conn.call(Shape as unknown as new () => Shape), true);
}

/** Proxies, chains and their names. */
export async function chains(conn: Connection): Promise<void> {
  const directory = await conn.callRef(openDirectory, "/home");
  is<Remote<Directory>>()(directory, true);
  is<string>()(await conn.callRef(openDirectory, "/home").find("alice").profile.city, true);
  is<string>()(await directory.find("a").greet("x"), true); // over what may be undefined
  is<User[]>()(await directory.find("a").profile.friends, true);
  is<User | undefined>()(await directory.find("a").profile.friends[0], true);
  is<string>()(await directory.either().name, true);
  is<User>()(await directory.get("user"), true);
  is<number>()(await directory.get("count"), true);
  // @ts-expect-error none of the overloads
  directory.get("other");
  using counter = await conn.callRef(() => new Counter());
  is<number>()(await counter.value, true);
  is<number>()(await counter.both, true);
  is<string>()(await counter.name, true);
  is<number>()(await counter.length, true);
  is<string>()(await counter.call(1), true);
  is<number>()(await counter.add(1).add(2).value, true);
  is<number>()(await counter.slow().value, true);
  // @ts-expect-error hidden
  counter._hidden;
  // @ts-expect-error hidden, and a proxy is not thenable
  counter.then;
  // @ts-expect-error private
  counter.start;
  // @ts-expect-error assignment is what set() is for
  counter.value = 5;
  // @ts-expect-error a path, no number
  counter.value + 1;
  const text: RemotePromise<string> = conn.root<Api>().version;
  is<string>()(await text.toUpperCase(), true);
  const fs = conn.import<typeof import("node:fs/promises")>("node:fs/promises");
  is<number>()(await conn.import<typeof import("node:os")>("node:os").hostname().length, true);
  is<string>()(await (await fs).readFile("/etc/hostname", "utf8"), true);
  await (await fs).rm("/x", { recursive: true });
  is<number>()(await conn.replicate({ list: [1] }).list.length, true);
  const fn = await conn.callRef(() => (x: number) => String(x));
  is<string>()(await fn(1), true);
  is<string>()(await conn.call(fn, 1), true);
  is<string>()(await conn.call(conn.callRef(() => (x: number) => String(x)), 1), true);
}

/** What a peer exposes. */
export async function roots(conn: Connection): Promise<void> {
  const root = conn.root<Api>();
  is<number>()(await root.add(1, 2), true);
  is<number>()(await root.add(root.add(1, 2), 3), true);
  is<number>()(await root.nested.deep.fn("x"), true);
  is<string>()(await root.version, true);
  is<number>()(await root.maybe.deep, true);
  is<string>()(await conn.root<typeof Deno>().hostname(), true);
  const viaAsync = async (): Promise<Remote<Api>> => await Promise.resolve(conn.root<Api>());
  is<Remote<Api>>()(await viaAsync(), true);
  // deno-lint-ignore no-explicit-any -- the face of any
  const loose = conn.root<any>();
  await loose.what.ever(1)[2];
}

/** References, and where an original or a proxy is wanted. */
export async function references(conn: Connection): Promise<void> {
  const directory = await conn.call(opened);
  is<Remote<Directory>>()(directory, true);
  is<string>()(await conn.call(opened).find("x").name, true);
  const { inner, n } = await conn.call(openedIn);
  is<Remote<Directory>>()(inner, true);
  is<number>()(n, true);
  await conn.call(useDirectory, directory, directory);
  await conn.call(useDirectory, ref(new Directory()), directory);
  await conn.call(useDirectory, conn.callRef(openDirectory, "/"), conn.callRef(openDirectory, "/"));
  // @ts-expect-error ref(x) where an original is wanted
  await conn.call(useDirectory, directory, ref(new Directory()));
  // @ts-expect-error a Reference is nominal
  const forged: Reference<number> = new Date();
  release(directory);
  return void forged;
}

/** Unresolved results and proxies as arguments, also inside of others. */
export async function args(conn: Connection): Promise<void> {
  const root = conn.root<Api>();
  const user = root.users.find("a") as unknown as Pending<User>;
  await conn.call(plain, { list: [1, root.add(1, 2)], map: new Map([["a", new Date()]]), user });
  await conn.call(plain, conn.call(() => ({ list: [1], map: new Map<string, Date>(), user: new User() })));
  // @ts-expect-error an unresolved result of another type
  await conn.call(plain, { list: [root.version], map: new Map(), user });
}

/** Callbacks become asynchronous on the way. */
export async function callbacks(conn: Connection): Promise<void> {
  const directory = await conn.callRef(openDirectory, "/");
  const stop = await directory.watch((user) => void user.name);
  await stop();
  await directory.each((user) => user.name);
  is<User[]>()(await directory.filter(async (user) => await Promise.resolve(user.name === "a")), true);
  await directory.filter((user) => user.name === "a");
  // @ts-expect-error a synchronous predicate cannot travel
  await directory.synchronous((user) => user.name === "a");
  await conn.call((callback: (n: number) => Promise<string>) => callback(1), (n) => n.toFixed());
  await conn.call(census, "/", ship((n: number) => void n));
}

/** Iteration over what is there. */
export async function iteration(conn: Connection): Promise<void> {
  const directory = await conn.callRef(openDirectory, "/");
  for await (const user of directory.all()) is<User>()(user, true);
  for await (const user of await directory.all()) is<User>()(user, true);
  for await (const n of conn.call(generate)) is<number>()(n, true);
  for await (const n of directory.numbers()) is<number>()(n, true);
  // @ts-expect-error a remote generator is not synchronous here
  for (const n of await directory.numbers()) void n;
  using list = await conn.replicate([1, 2]);
  for await (const n of list) is<number>()(n, true);
}

/** The functions on proxies, paths and results. */
export async function handling(conn: Connection): Promise<void> {
  await using counter = await conn.callRef(Counter);
  is<void>()(await set(counter, "value", 5), true);
  is<boolean>()(await has(counter, "value"), true);
  is<boolean>()(await del(counter, "value"), true);
  is<Counter>()(await copy(counter), true);
  is<number>()(await copy(counter.value), true);
  is<Remote<Counter>>()(await keep(counter.add(1)), true);
  is<number>()(await keep(counter.add(1)).value, true);
  await set(counter, "value", conn.call(() => 5));
  // @ts-expect-error a value of another type
  await set(counter, "value", "five");
  // @ts-expect-error no such property
  await has(counter, "values");
}

/** Limits are those of a scope, types the same. */
export async function scopes(conn: Connection): Promise<void> {
  const scope: CallScope = conn.with({ signal: AbortSignal.timeout(5), timeout: 5 });
  is<Map<string, number>>()(await scope.call(census, "/"), true);
  is<Counter>()(await scope.call(Counter), true);
  is<string>()(await scope.callRef(openDirectory, "/home").find("alice").profile.city, true);
  is<Remote<number[]>>()(await scope.replicate([1]), true);
  is<number>()(await scope.execute<number>("1"), true);
  is<string>()(await scope.root<Api>().version, true);
  is<Promise<Received<number>>>()(scope.import<{ n: number }>("./n.ts").n.then((n) => n), true);
  const root = conn.root<Api>();
  is<Remote<Api>>()(scope.on(root), true);
  is<number>()(await scope.on(root.users).find("a").profile.friends.length, true);
  // @ts-expect-error an unknown option
  conn.with({ deadline: 5 });
  // @ts-expect-error milliseconds
  conn.with({ timeout: "5" });
  // @ts-expect-error no proxy
  scope.on({});
}

/** A connection of the far side. */
export async function nested(conn: Connection): Promise<void> {
  const module = await conn.import<typeof import("../mod.ts")>("@x/across");
  await using inner = await module.Connection.fromSsh("further");
  is<boolean>()(await inner.isConnected(), true);
}
