/**
 * What a test must not leave behind: child processes and open descriptors (read from `/proc`, so on Linux only; elsewhere nothing is checked),
 * and the one way to wait for something: until it is so, or a deadline. Nothing here sleeps for luck.
 *
 * @module
 */

/** Whether leaks can be seen on this system. */
export const canSeeLeaks: boolean = Deno.build.os === "linux";

/**
 * Waits until something is so.
 *
 * @param test Tells whether it is; what it throws counts as "not yet", and is the cause of the final error.
 * @param what What is waited for, for the error.
 * @param deadline Milliseconds until it is given up.
 * @returns the first truthy value that `test` returned
 * @throws {Error} when it is not so at the deadline
 */
export async function condition<T>(
  test: () => T | Promise<T>,
  what: string,
  deadline = 60_000,
): Promise<Exclude<T, false | null | undefined | 0 | "">> {
  const end = performance.now() + deadline;
  let cause: unknown;
  for (let pause = 1;; pause = Math.min(pause * 2, 50)) {
    try {
      const value = await test();
      if (value) return value as Exclude<T, false | null | undefined | 0 | "">;
      cause = undefined;
    } catch (error) {
      cause = error;
    }
    if (performance.now() > end) throw new Error(`Not so within ${deadline} ms: ${what}`, { cause });
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

/** One process as the system sees it. */
export interface ProcessInfo {
  readonly pid: number;
  readonly parent: number;
  /** `Z` is a zombie. */
  readonly state: string;
  readonly command: string;
}

function processInfo(pid: number): ProcessInfo | undefined {
  let stat: string;
  let command = "";
  try {
    stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
    command = Deno.readTextFileSync(`/proc/${pid}/cmdline`).replaceAll("\0", " ").trim().slice(0, 120);
  } catch {
    return undefined; // it has ended meanwhile
  }
  const name = stat.slice(stat.indexOf("(") + 1, stat.lastIndexOf(")")); // may hold spaces and parentheses itself
  const [state = "?", parent = "0"] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return { pid, parent: Number(parent), state, command: command || name };
}

/**
 * Whether a process is there and not merely waiting to be reaped.
 *
 * @param pid The process.
 * @returns whether it runs
 */
export function isAlive(pid: number): boolean {
  const info = processInfo(pid);
  return info !== undefined && info.state !== "Z";
}

/**
 * Kills a process that may have ended meanwhile.
 *
 * @param pid The process.
 */
export function killProcess(pid: number): void {
  try {
    Deno.kill(pid, "SIGKILL");
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/**
 * Children of a process, and theirs.
 *
 * @param pid The process; our own when left out.
 * @returns all descendants, zombies too
 */
export function descendants(pid: number = Deno.pid): ProcessInfo[] {
  const all: ProcessInfo[] = [];
  for (const entry of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(entry.name)) continue;
    const info = processInfo(Number(entry.name));
    if (info) all.push(info);
  }
  const tree = new Set([pid]);
  for (let size = 0; size !== tree.size;) {
    size = tree.size;
    for (const info of all) if (tree.has(info.parent)) tree.add(info.pid);
  }
  return all.filter((info) => info.pid !== pid && tree.has(info.pid));
}

/**
 * Open descriptors of a process by what they are: `socket`, `pipe`, `anon_inode:[eventpoll]`, a path.
 *
 * @param pid The process; our own when left out.
 * @returns how many there are of each
 */
export function openDescriptors(pid: number | "self" = "self"): Map<string, number> {
  const counts = new Map<string, number>();
  for (const entry of Deno.readDirSync(`/proc/${pid}/fd`)) {
    let target: string;
    try {
      target = Deno.readLinkSync(`/proc/${pid}/fd/${entry.name}`);
    } catch {
      continue; // the descriptor that the listing itself used
    }
    const kind = target.replace(/^(socket|pipe):.*/, "$1");
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  return counts;
}

/** Deno keeps these open from their first use on: its caches, devices, the event loop's own. They are not ours to close. */
const DENO_OWN = /^\/dev\/|^anon_inode:\[(eventpoll|eventfd|io_uring|timerfd)|_v\d+(-shm|-wal|-journal)?$|\/\.?deno\//;

let warm: Promise<unknown> | undefined;

/** The first child makes Deno open a pipe for SIGCHLD, the first listener to a signal two sockets. They stay, and must be there before the baseline is taken. */
function warmUp(): Promise<unknown> {
  return warm ??= (() => {
    const listener = (): void => {};
    Deno.addSignalListener("SIGUSR2", listener);
    Deno.removeSignalListener("SIGUSR2", listener);
    return new Deno.Command("true", { stdin: "null" }).output();
  })();
}

/** What a test may find again at its end. */
export interface LeakCheck {
  /**
   * Waits until everything that was opened since is gone.
   *
   * @throws {Error} when something is left at the deadline, naming it
   */
  finish(): Promise<void>;
}

/**
 * Takes the baseline: children and descriptors that are there now.
 *
 * @param deadline Milliseconds that the end has to clear up.
 * @returns the check for the end
 */
export async function leakCheck(deadline = 30_000): Promise<LeakCheck> {
  if (!canSeeLeaks) return { finish: () => Promise.resolve() };
  await warmUp();
  const children = new Set(descendants().map((info) => info.pid));
  const descriptors = openDescriptors();
  const left = (): string[] => [
    ...descendants().filter((info) => !children.has(info.pid))
      .map((info) => `process ${info.pid} (${info.state}) ${info.command}`),
    ...[...openDescriptors()].filter(([kind, count]) => !DENO_OWN.test(kind) && count > (descriptors.get(kind) ?? 0))
      .map(([kind, count]) => `${count - (descriptors.get(kind) ?? 0)} more ${kind}`),
  ];
  return {
    async finish(): Promise<void> {
      await condition(() => left().length === 0, "nothing is left behind", deadline).catch(() => {
        const what = left();
        if (what.length > 0) throw new Error(`Left behind: ${what.join("; ")}`);
      });
    },
  };
}

/**
 * Fails a test that hangs, so that it does not take the whole run with it: Deno has no deadline for tests.
 *
 * @param result What the test returned.
 * @param milliseconds The deadline.
 */
export async function inTime(result: Promise<void> | void, milliseconds = 120_000): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`The test has not ended within ${milliseconds} ms`)), milliseconds);
  });
  try {
    await Promise.race([result, late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Wraps a test so that it fails when it leaves a process or a descriptor, or hangs. What the test itself throws comes first.
 *
 * @param body The test.
 * @param milliseconds How long it may take.
 * @returns the test with the check
 */
export function noLeaks<Args extends unknown[]>(
  body: (...args: Args) => Promise<void> | void,
  milliseconds?: number,
): (...args: Args) => Promise<void> {
  return async (...args) => {
    const check = await leakCheck();
    await inTime(body(...args), milliseconds);
    await check.finish();
  };
}
