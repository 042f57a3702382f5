/**
 * What all commands of `across` share when they read their command line: it is strict, so a misspelt flag is an error instead of a surprise.
 * The flags themselves are the commands' own business.
 *
 * @module
 */

/** The command line is wrong: told on stderr, exit code 2. */
export class UsageError extends Error {
  static {
    this.prototype.name = "UsageError";
  }
}

/** For `parseArgs`' option `unknown`: refuses unknown flags, keeps what is not a flag. */
export function refuseUnknown(arg: string, key?: string): boolean {
  if (key === undefined) return true;
  throw new UsageError(`Unknown flag "${arg.split("=")[0]}"`);
}

/**
 * Values of a flag that may be given more than once.
 *
 * @param flag Its name, for the error.
 * @param values What was parsed.
 * @returns the values
 * @throws {UsageError} when one is missing
 */
export function given(flag: string, values: readonly (string | undefined)[]): string[] {
  return values.filter((value) => value !== undefined).map((value) => {
    if (value === "") throw new UsageError(`Flag "--${flag}" needs a value`);
    return value;
  });
}
