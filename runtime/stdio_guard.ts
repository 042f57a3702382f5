/**
 * For a process whose stdin and stdout are the wire: what its programs print goes to stderr, and they find their stdin empty. Patches what can be
 * patched from inside; `docs/runtimes.md` says what that leaves open. Node's modules, which Bun and Deno have as well, are patched in
 * `node_guard.ts`.
 *
 * @module
 */

import { bun, deno, writeStderr } from "./host.ts";
import { guardNode, guardNodeLater, redirect } from "./node_guard.ts";

/** Gives an object other properties, also where it has accessors for them. */
function patch(target: object, values: object): void {
  for (const [key, value] of Object.entries(values)) {
    Object.defineProperty(target, key, { value, writable: true, enumerable: true, configurable: true });
  }
}

/**
 * Makes all of `console` print where `console.error` does. The code that draws tables, counts and stops times is out of reach where it prints to
 * stdout, so their arguments have to do.
 */
function guardConsole(): void {
  const { error, group } = console;
  const methods: Record<string, unknown> = console as object as Record<string, unknown>;
  for (const name of "log info debug dir dirxml table count timeLog timeEnd write".split(" ")) {
    methods[name] = (...data: unknown[]) => error(...data);
  }
  console.group = console.groupCollapsed = (...data) => {
    if (data.length) error(...data);
    group();
  };
}

/** Passes a child's output on to stderr. */
const pass = (output: ReadableStream<Uint8Array>): Promise<void> =>
  output.pipeTo(new WritableStream({ write: writeStderr })).catch(() => {});

function guardDeno(deno: typeof Deno): void {
  const { stdin, stdout, stderr } = deno;
  patch(stdin, { read: () => Promise.resolve(null), readSync: () => null });
  patch(stdout, {
    write: (bytes: Uint8Array) => stderr.write(bytes),
    writeSync: (bytes: Uint8Array) => stderr.writeSync(bytes),
  });
  Object.defineProperty(stdin, "readable", { get: () => new Blob().stream() });
  Object.defineProperty(stdout, "writable", { get: () => stderr.writable });
  // To look at it takes 2 ms.
  const original = Object.getOwnPropertyDescriptor(deno, "Command")!;
  let guarded: typeof Deno.Command | undefined;
  const command = () => guarded ??= guardedCommand(original.value ?? original.get!.call(deno));
  Object.defineProperty(deno, "Command", { get: command, enumerable: true, configurable: true });
  if (!("spawn" in deno)) return;
  type Arguments = [path: string | URL, args?: string[] | object, options?: object];
  const create = (...[path, args, options]: Arguments) =>
    new (command())(path, Array.isArray(args) ? { ...options, args } : args);
  patch(deno, {
    spawn: (...args: Arguments) => create(...args).spawn(),
    spawnAndWait: (...args: Arguments) => create(...args).output(),
    spawnAndWaitSync: (...args: Arguments) => create(...args).outputSync(),
  });
}

/** What a child would inherit it gets from us, or not at all: there is no way to give it another descriptor of ours. */
function guardedCommand(Command: typeof Deno.Command): typeof Deno.Command {
  return class extends Command {
    readonly #command: string | URL;
    readonly #options: Deno.CommandOptions;
    constructor(command: string | URL, options: Deno.CommandOptions = {}) {
      super(command, options);
      this.#command = command;
      this.#options = options;
    }
    #guarded(standard?: "inherit"): Deno.Command {
      const options = { ...this.#options };
      if ((options.stdin ?? standard) === "inherit") options.stdin = "null";
      if ((options.stdout ?? standard) === "inherit") options.stdout = "piped";
      return new Command(this.#command, options);
    }
    #shown<T extends Deno.CommandOutput>(output: T): T {
      if (this.#options.stdout === "inherit") writeStderr(output.stdout);
      return output;
    }
    override spawn(): Deno.ChildProcess {
      const child = this.#guarded("inherit").spawn();
      if ((this.#options.stdout ?? "inherit") === "inherit") void pass(child.stdout);
      return child;
    }
    override async output(): Promise<Deno.CommandOutput> {
      return this.#shown(await this.#guarded().output());
    }
    override outputSync(): Deno.CommandOutput {
      return this.#shown(this.#guarded().outputSync());
    }
  };
}

/** What is used of Bun. */
interface Bun {
  stdin: unknown;
  stdout: unknown;
  readonly stderr: unknown;
  file(path: string): unknown;
  spawn(...args: BunArguments): unknown;
  spawnSync(...args: BunArguments): unknown;
}
interface BunOptions {
  readonly stdio?: readonly unknown[];
  readonly stdin?: unknown;
  readonly stdout?: unknown;
}
type BunArguments = [command: object, options?: object];

function guardBun(bun: Bun): void {
  const { spawn, spawnSync } = bun;
  const guarded = (options: BunOptions): BunOptions => {
    const stdio = redirect(options.stdio ?? [options.stdin ?? null, options.stdout ?? "pipe"]) as readonly unknown[];
    return options.stdio ? { ...options, stdio } : { ...options, stdin: stdio[0], stdout: stdio[1] };
  };
  const args = ([command, options = {}]: BunArguments): BunArguments =>
    Array.isArray(command) ? [command, guarded(options)] : [guarded(command)];
  Object.assign(bun, {
    stdin: bun.file("/dev/null"),
    stdout: bun.stderr,
    spawn: (...it: BunArguments) => spawn(...args(it)),
    spawnSync: (...it: BunArguments) => spawnSync(...args(it)),
  });
}

let guarded = false;

/** Keeps the program off stdin and stdout, for good: nobody knows what still prints when the wire is closed. */
export function guardStdio(): void {
  if (guarded) return;
  guarded = true;
  if (deno) {
    guardConsole();
    guardDeno(deno);
    // Before 2.8, which has this function, Node's modules start children by what was guarded above, and files are out of reach.
    if ("spawn" in deno) guardNodeLater();
  } else {
    if (bun) {
      guardConsole();
      guardBun(bun as unknown as Bun);
    }
    guardNode();
  }
}
