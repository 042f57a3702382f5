/**
 * Where operations start and what they follow from there, as bytes.
 *
 * @module
 */

import { OperationError, ProtocolError } from "../protocol/errors.ts";
import { BASE } from "../protocol/messages.ts";
import type { Reader } from "../protocol/reader.ts";
import type { Writer } from "../protocol/writer.ts";
import { Call } from "./call.ts";

/** Parts of a path that are accepted. */
const PATH_LIMIT = 1000;
const NOTHING: readonly string[] = [];

/** The face of an object of a peer, or of what it exposes. */
interface Start {
  readonly operator: { readonly caller: object };
  readonly holding: { readonly handle: number; readonly count: number } | undefined;
  describe(): string;
}

/** Writes where an operation starts. */
export function writeOrigin(writer: Writer, origin: Call | Start | undefined, operator: object): void {
  if (origin instanceof Call) {
    if (origin.failure) throw origin.failure.error;
    writer.u8(BASE.RESULT);
    writer.varint(origin.id);
  } else if (!origin?.holding) {
    writer.u8(BASE.ROOT);
  } else {
    if (origin.operator.caller !== operator) {
      throw new OperationError(`Cannot use ${origin.describe()} on another connection`);
    }
    if (origin.holding.count === 0) throw new OperationError(`Cannot use ${origin.describe()} as it was released`);
    writer.u8(BASE.HANDLE);
    writer.varint(origin.holding.handle);
  }
}

/** Writes a path: how many parts, and each. */
export function writePath(writer: Writer, path: readonly string[]): void {
  if (path.length > PATH_LIMIT) throw new OperationError(`Cannot follow a path of more than ${PATH_LIMIT} names`);
  writer.varint(path.length);
  for (let i = 0; i < path.length; i++) writer.string(path[i]!);
}

/** Reads a path. */
export function readPath(reader: Reader): readonly string[] {
  const length = reader.varint();
  if (length === 0) return NOTHING;
  if (length > PATH_LIMIT) throw new ProtocolError(`A path has ${length} parts, ${PATH_LIMIT} are allowed`);
  const path = new Array<string>(length);
  for (let i = 0; i < length; i++) path[i] = reader.string();
  return path;
}
