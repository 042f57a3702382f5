/**
 * Why a value cannot be sent, and where in what the caller passed it lies: the way there is collected while the refusal passes the
 * containers on its way up, so that it costs nothing when there is none.
 *
 * @module
 */

import { OperationError } from "./errors.ts";

/** A value that cannot travel. It never leaves the encoder. */
export class Refusal {
  /** What it is and what else can be done; follows the name of the place. */
  readonly reason: string;
  /** The steps to it, last one first. */
  readonly steps: string[] = [];

  /** Makes one, with no step yet. */
  constructor(reason: string) {
    this.reason = reason;
  }
}

/** Notes the step at which an error on its way up came by, and returns it. */
export function passing(error: unknown, step: string | number): unknown {
  if (error instanceof Refusal) error.steps.push(typeof step === "number" ? `[${step}]` : step);
  return error;
}

/** The step to a property. */
export function stepTo(key: string): string {
  const short = shorten(key, 40);
  return /^[\p{ID_Start}$_][\p{ID_Continue}$…]*$/u.test(short) ? `.${short}` : `[${JSON.stringify(short)}]`;
}

/** What the caller, who calls the value `where`, is to get for an error that ended its encoding. */
export function complaint(error: unknown, where: string): unknown {
  if (error instanceof Refusal) {
    return new OperationError(`Cannot send ${shorten(where + error.steps.reverse().join(""), 200)}, ${error.reason}`);
  }
  if (error instanceof RangeError && error.message.includes("call stack")) {
    return new OperationError(`Cannot send ${where}, which is nested too deep for what is left of the stack`, {
      cause: error,
    });
  }
  return error;
}

function shorten(text: string, length: number): string {
  return text.length > length ? `${text.slice(0, length)}…` : text;
}
