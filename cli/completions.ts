/**
 * `across completions`: prints what makes a shell complete commands and flags.
 *
 * @module
 */

import { parseArgs } from "@std/cli";
import { refuseUnknown, UsageError } from "./command_line.ts";
import { printOut } from "./terminal.ts";

/** What `across completions --help` prints. */
export const COMPLETIONS_HELP = `across completions: print what makes a shell complete commands and flags

Usage: across completions bash|zsh|fish

  bash    source <(across completions bash)
  zsh     source <(across completions zsh)
  fish    across completions fish | source
`;

const TARGETS = ["ssh", "tcp", "unix", "command", "local", "stdio"];
const COMMON = [...TARGETS, "runtime", "jobs", "timeout", "secret-file", "json", "verbose", "help"];
/** The flags of each command. A test compares them with the help texts. */
export const FLAGS: { readonly [command: string]: readonly string[] } = {
  run: [...COMMON, "export"],
  exec: COMMON,
  ping: [...COMMON, "count"],
  serve: [
    ...["tcp", "unix", "stdio", "handler", "secret-file", "cert", "key", "client-ca", "max-connections", "insecure"],
    ...["timeout", "verbose", "help"],
  ],
  rsync: [
    ...["ssh", "tcp", "unix", "command", "local", "delete", "runtime", "timeout", "secret-file", "json"],
    ...["verbose", "help"],
  ],
  socketserver: ["tcp", "secret-file", "run", "runtime", "help"],
  bios: ["help"],
  completions: ["help"],
};
/** Flags whose value is one of a few words. */
const WORDS: { readonly [flag: string]: readonly string[] } = {
  runtime: ["deno", "node", "bun"],
  handler: ["local", "process", "bios"],
};
/** Flags whose value is a file. */
const FILES = ["unix", "secret-file", "cert", "key", "client-ca"];

const long = (flags: readonly string[]): string => flags.map((flag) => `--${flag}`).join(" ");

function bash(): string {
  const cases = Object.entries(FLAGS).map(([name, flags]) => `    ${name}) flags="${long(flags)}" ;;`);
  const words = Object.entries(WORDS).map(([flag, values]) =>
    `    --${flag}) COMPREPLY=($(compgen -W "${values.join(" ")}" -- "$word")); return ;;`
  );
  return `_across() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]} flags=
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "${Object.keys(FLAGS).join(" ")} --help --version" -- "$word"))
    return
  fi
  case $before in
${words.join("\n")}
    ${FILES.map((flag) => `--${flag}`).join("|")}) COMPREPLY=($(compgen -f -- "$word")); return ;;
  esac
  case \${COMP_WORDS[1]} in
${cases.join("\n")}
  esac
  case $word in
    -*) COMPREPLY=($(compgen -W "$flags" -- "$word")) ;;
    *) COMPREPLY=($(compgen -f -- "$word")) ;;
  esac
}
complete -o filenames -F _across across
`;
}

function fish(): string {
  const names = Object.keys(FLAGS);
  const without = `not __fish_seen_subcommand_from ${names.join(" ")}`;
  const lines = [
    "complete -c across -f",
    `complete -c across -n "${without}" -a "${names.join(" ")}"`,
    `complete -c across -n "__fish_seen_subcommand_from run rsync" -F`,
  ];
  for (const [name, flags] of Object.entries(FLAGS)) {
    for (const flag of flags) {
      const value = WORDS[flag] ? ` -x -a "${WORDS[flag].join(" ")}"` : FILES.includes(flag) ? " -r -F" : "";
      lines.push(`complete -c across -n "__fish_seen_subcommand_from ${name}" -l ${flag}${value}`);
    }
  }
  return `${lines.join("\n")}\n`;
}

const SHELLS: { readonly [shell: string]: () => string } = {
  bash,
  // zsh understands what is written for bash.
  zsh: () => `autoload -U +X compinit && compinit -u\nautoload -U +X bashcompinit && bashcompinit\n${bash()}`,
  fish,
};

/**
 * Runs the command.
 *
 * @param args What follows `completions` on the command line.
 * @returns the exit code
 * @throws {UsageError} when the command line is wrong
 */
export function completions(args: readonly string[]): Promise<number> {
  const flags = parseArgs([...args], { boolean: ["help"], alias: { h: "help" }, unknown: refuseUnknown });
  const [shell, ...rest] = flags._.map(String);
  if (flags.help) printOut(COMPLETIONS_HELP);
  else if (shell !== undefined && rest.length === 0 && Object.hasOwn(SHELLS, shell)) printOut(SHELLS[shell]!());
  else throw new UsageError(`The command completions takes ${Object.keys(SHELLS).join(", ")}`);
  return Promise.resolve(0);
}
