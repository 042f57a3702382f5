/**
 * What an end was booted with, so that it can boot others: on such an end there are no files to read it from.
 *
 * @module
 */

/** The sources that an end was given. */
export interface Payload {
  /** The packed kernel, as stage 1 got it. */
  readonly kernel: Uint8Array;
  /** The packed extension, as the kernel got it. */
  readonly extension: Uint8Array;
  /** Asks whoever sent it for another part: `mod` for the rest of `@x/across`, `servers` for `@x/across/servers`. */
  entry(name: string): Promise<string>;
}

let given: Payload | undefined;

/** Remembers what this end was booted with. */
export function setPayload(payload: Payload): void {
  given = payload;
}

/** What this end was booted with; undefined where it was not booted. */
export function payload(): Payload | undefined {
  return given;
}
