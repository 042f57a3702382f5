/**
 * Texts for POSIX shells that start an interpreter with stage 1: quoting, moving the wire away from stdin and stdout, and finding an interpreter.
 * Who runs these texts, and where, is in `command.ts` and `ssh.ts`.
 *
 * @module
 */

import { STAGE_1 } from "./script.ts";

/**
 * Ends a command line: the wire is on descriptors 4 and 3 from then on, of which the program is told. Its stdin is empty, and what it or a child of
 * its prints goes to stderr. The redirections belong to `exec` with a command, as some shells keep to themselves what a bare `exec` opens.
 */
const MOVED = "4 3 4<&0 0</dev/null 3>&1 1>&2";

/** Whether stdin and stdout are pipes. Deno can open only these a second time, and sockets not without much ado. */
const PIPES = "[ -p /dev/fd/0 ]&&[ -p /dev/fd/1 ]";

/**
 * Begins the command that has the program killed when the process dies that started it, where the system can do that. Behind ssh that is the
 * process of `sshd` which ends with the connection. A watchdog in the process sees to it, too
 * (`runtime/watchdog.ts`), but it is up only after the first call, which may never end.
 */
const MORTAL = `k="setpriv --pdeathsig KILL";$k true 2>/dev/null||k=`;

/** How Bun is started: without the `bunfig.toml` of a folder that it happens to be in. */
const BUN_FLAGS = ["--config=/dev/null"];

/** The kinds of runtimes. */
export type Kind = "deno" | "node" | "bun";

/**
 * The arguments of an interpreter that make it run stage 1.
 *
 * @param kind Which interpreter.
 * @param flags Deno's permissions.
 */
export function interpreterArgs(kind: Kind, flags: readonly string[]): string[] {
  // Deno starts a `data:` URL 5 ms sooner than it evaluates a script, and takes no notice of the folder that it is in.
  if (kind === "deno") return ["run", "--no-config", ...flags, `data:application/javascript,${STAGE_1}`];
  return [...(kind === "bun" ? BUN_FLAGS : []), "-e", STAGE_1];
}

/**
 * Runs the command that the shell got as arguments, with the wire moved if that can be.
 *
 * @param kind What the command is. In Deno's sandbox moved descriptors could not be opened.
 */
export function prologue(kind: Kind): string {
  const moved = `exec $k "$@" ${MOVED}`;
  return `${MORTAL};${kind === "deno" ? `${PIPES}&&${moved};exec $k "$@"` : moved}`;
}

/**
 * Quotes a word for any shell that may parse it: POSIX ones, fish, csh. Only csh cannot cope with newlines in it.
 *
 * @param word Any text without NUL.
 */
export function quote(word: string): string {
  if (/^[\w./-][\w./:,=-]*$/.test(word)) return word;
  return word.replace(
    /'+|[\\!]+|[^'\\!]+/g,
    (part) => part[0] === "'" ? `"${part}"` : /[\\!]/.test(part) ? part.replace(/./g, "\\$&") : `'${part}'`,
  ) || "''";
}

/** Where interpreters are beside `PATH`, which is short where nobody has logged in. Those with a `*` are looked through, the newest version last. */
const PLACES = [
  "/usr/local/bin",
  "/opt/homebrew/bin",
  "/home/linuxbrew/.linuxbrew/bin",
  "/opt/local/bin",
  "/snap/bin",
  "~/.deno/bin",
  "~/.bun/bin",
  "~/.volta/bin",
  "~/.local/bin",
  "~/bin",
  "~/.nix-profile/bin",
  "/run/current-system/sw/bin",
  "~/.local/share/mise/shims",
  "~/.asdf/shims",
  "~/.nodenv/shims",
  "~/.proto/shims",
  "~/.nvm/versions/node/v[2-9][0-9]*/bin",
  "~/.local/share/fnm/node-versions/v[2-9][0-9]*/installation/bin",
  "~/.fnm/node-versions/v[2-9][0-9]*/installation/bin",
  "~/Library/Application Support/fnm/node-versions/v[2-9][0-9]*/installation/bin",
];

/** The most welcome one first: what `--version` of a program that will do prints, as a pattern of `case`, and what messages call it. */
const KINDS: readonly (readonly [kind: Kind, versions: string, name: string])[] = [
  ["deno", `"deno "[2-9]*|"deno "[1-9][0-9]*`, "deno (2 or newer)"],
  ["node", "v[2-9][0-9].*|v[1-9][0-9][0-9].*", "node (20 or newer)"],
  ["bun", "[1-9]*.*.*", "bun"],
];

/** What is looked for, and how it is started. */
export interface Search {
  /** Only this program, whatever its name; else one of `kinds` where programs usually are. */
  readonly path?: string | undefined;
  /** Which kinds will do. The first one that is found is taken. */
  readonly kinds: readonly Kind[];
  /** Permission flags, for Deno. */
  readonly flags: readonly string[];
  /** What the command line begins with that is executed in the end, such as `env …`. */
  readonly before?: string;
}

/**
 * Looks for an interpreter and runs stage 1 in it, with the wire moved if that can be. Where there is none, says so on stderr and exits with 127. It
 * is one line for which no shell needs to know arrays, functions or patterns that match nothing.
 *
 * @param search What to look for.
 */
export function discovery({ path, kinds, flags, before = "" }: Search): string {
  const wanted = KINDS.filter(([kind]) => kinds.includes(kind));
  const names = wanted.map(([, , name]) => name).join(", ");
  const sandboxed = flags[0] !== "-A";
  const cases = wanted.map(([kind, versions]) => {
    const words = interpreterArgs(kind, flags).map((arg) => {
      return arg.endsWith(STAGE_1) ? `"${arg.slice(0, -STAGE_1.length)}$s"` : quote(arg);
    });
    const unmoved = `exec $k ${before}"$p" "$@"`;
    const rest = kind !== "deno" ? "" : sandboxed ? `;${unmoved}` : `;${PIPES}||${unmoved}`;
    return `${versions})set -- ${words.join(" ")}${rest};;`;
  }).join("");
  // Old and broken ones, such as the shims of version managers that have no version, are passed over. They must not read
  // from the wire.
  const attempt =
    `case $("$p" --version </dev/null 2>/dev/null) in ${cases}*)continue;;esac;exec $k ${before}"$p" "$@" ${MOVED};`;
  if (path !== undefined) {
    return `s=$1;${MORTAL};for p in ${quote(path)};do ${attempt}done;` +
      `echo "across: Cannot use $p: it is not one of ${names}, or does not run" >&2;exit 127`;
  }
  const globs = PLACES.filter((place) => place.includes("*"));
  const expand = (place: string) =>
    place.replace(/^~/, "$HOME").split(/(v\[.*\*)/).map((part, odd) => odd % 2 ? part : `"${part}"`).join("");
  const newest = globs.map((place, index) => `for p in ${expand(place)};do g${index}=$p;done;`).join("");
  const places = PLACES.map((place) => place.includes("*") ? `"$g${globs.indexOf(place)}"` : expand(place)).join(" ");
  return `s=$1;${MORTAL};${newest}set -- "" ${places};l="$*";` +
    `for d;do for p in ${
      wanted.map(([kind]) => kind).join(" ")
    };do p=\${d:+$d/}$p;command -v "$p" >/dev/null 2>&1||continue;${attempt}done;done;` +
    `echo "across: Found no ${names} in PATH ($PATH) or in$l" >&2;exit 127`;
}
