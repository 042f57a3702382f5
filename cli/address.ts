/**
 * Where servers are, and what one has to know to be let in: how that stands on the command line.
 *
 * @module
 */

import { readFileSync, statSync } from "node:fs";
import process from "node:process";
import { given, UsageError } from "./command_line.ts";

/**
 * Reads `HOST:PORT`, where a host of IPv6 stands in brackets.
 *
 * @throws {UsageError} when it is something else
 */
export function addressOf(flag: string, text: string): { host: string; port: number } {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match && port <= 65535) return { host: match[1] ?? match[2]!, port };
  throw new UsageError(`Flag "--${flag}" needs HOST:PORT, as in [::1]:1865, but was given "${text}"`);
}

/** Permission bits of a file that let others than its owner read it. */
const OTHERS_READ = 0o044;

/**
 * Reads a secret: the file's content without the end of its line. As ssh does with keys, it takes no file that other users may read.
 *
 * @throws {UsageError} when there is none
 */
export function secretOf(path: string | undefined): string | undefined {
  const [file] = given("secret-file", [path]);
  if (file === undefined) return undefined;
  let secret, mode;
  try {
    secret = readFileSync(file, "utf8").replace(/\r?\n$/, "");
    mode = statSync(file);
  } catch (error) {
    throw new UsageError(`Cannot read the secret: ${error instanceof Error ? error.message : String(error)}`);
  }
  // Not what is no file, as <(pass show across), and not where there are no such permissions.
  if (mode.isFile() && mode.mode & OTHERS_READ && process.platform !== "win32") {
    throw new UsageError(`Others may read the secret in "${file}": chmod 600 it, and think of another secret`);
  }
  if (secret === "") throw new UsageError(`There is no secret in "${file}"`);
  return secret;
}
