/**
 * Habits about files, enforced: at most 400 lines, names in snake_case that say what is in them, first lines that say it, too.
 * `deno run -A scripts/check_files.ts` prints the offenders and exits with 1 when there are any.
 *
 * @module
 */

import { projectFiles } from "./project_files.ts";

const MAX_LINES = 400;

/** Written by programs, not by people. */
const GENERATED = /^(bios\/embedded\.ts|deno\.lock)$/;

/** Names by which tools or people expect these files. */
const GIVEN_NAMES = /^([A-Z]+(\.md)?|\..*|.*\.d\.ts)$/;

const offenders: string[] = [];
const files = (await projectFiles()).filter((file) => !GENERATED.test(file));
for (const file of files) {
  const name = file.slice(file.lastIndexOf("/") + 1);
  const code = /\.(ts|js|mjs)$/.test(name);
  if (code && !GIVEN_NAMES.test(name) && !/^[a-z0-9_]+(\.[a-z0-9_]+)*$/.test(name)) {
    offenders.push(`${file}: the name is not snake_case`);
  }
  if (/^_?(utils?|helpers?|misc|common)\b/.test(name)) {
    offenders.push(`${file}: the name says nothing about what is in it`);
  }
  if (!code && !/\.(md|json|txt|sh)$/.test(name)) continue;
  const text = await Deno.readTextFile(new URL(`../${file}`, import.meta.url));
  const lines = text.split("\n").length - (text.endsWith("\n") ? 1 : 0);
  if (!/\.(json|txt)$/.test(name) && lines > MAX_LINES) {
    offenders.push(`${file}: ${lines} lines, at most ${MAX_LINES} are wanted`);
  }
  if (code && !/^(#!.*\n)?\s*\/[/*]/.test(text)) offenders.push(`${file}: the first lines do not say what lives here`);
}
for (const offender of offenders) console.error(offender);
console.error(`Checked ${files.length} files: ${offenders.length} offenders`);
Deno.exit(offenders.length > 0 ? 1 : 0);
