/**
 * Stacks of errors that came from elsewhere.
 *
 * @module
 */

/** What the core is called in stacks where it was booted, see `scripts/embed.ts`. */
const CORE = "across:core";
/** Frames of across itself, which tell a program nothing, by the files that they are in: here, and on any end that was booted. */
const OWN: readonly string[] = /^(?:file|https?):/.test(import.meta.url)
  ? [CORE].concat(
    ["connection.ts", "session/", "protocol/", "transports/", "runtime/"]
      .map((part) => new URL(`../${part}`, import.meta.url).href),
  )
  : [CORE];

/** A stack without frames of across itself. */
export function withoutOwnFrames(stack: string): string {
  if (!OWN.some((file) => stack.includes(file))) return stack;
  const lines = stack.split("\n");
  const first = lines.findIndex((line) => OWN.some((file) => line.includes(file)));
  // What lies between our frames, such as the runtime's AsyncLocalStorage, is ours, too.
  let last = lines.length - 1;
  while (!OWN.some((file) => lines[last]!.includes(file))) last--;
  return [...lines.slice(0, first), ...lines.slice(last + 1)].join("\n");
}

/**
 * Puts the remote part of an error's stack below the local one.
 *
 * @param error The error, with the stack that it had over there.
 * @param site Where the call was issued here, if that was noted.
 * @param peer Who the peer is, as in `host "wonderland", process 42`.
 */
export function joinStacks(error: Error, site: Error | undefined, peer: string): void {
  const remote = frames(error);
  const local = site ? withoutOwnFrames(frames(site)) : "";
  Object.defineProperty(error, "stack", {
    value: `${error.name}: ${error.message}${local && "\n" + local}\nBelow lines obtained from ${peer}\n${remote}`,
    configurable: true,
    writable: true,
  });
}

/** The lines of a stack without its heading. */
function frames({ stack, name, message }: Error): string {
  if (typeof stack !== "string") return "";
  for (const heading of [`${name}: ${message}\n`, `${message}\n`, `${name}\n`]) {
    if (heading.length > 1 && stack.startsWith(heading)) return stack.slice(heading.length);
  }
  // A message that was changed after the stack was made: what does not look like a frame is heading.
  const at = stack.search(/^\s+at |^[^\n]*@\S+:\d+:\d+$|^Below lines/m);
  return at < 0 ? "" : stack.slice(at);
}
