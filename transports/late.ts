/**
 * A wire that is still being opened.
 *
 * @module
 */

import { ignore } from "./join.ts";
import type { Wire } from "./wire.ts";

/**
 * Stands for a wire that is still being opened: what is asked of it waits until it is.
 *
 * @param opening Gives the wire, or rejects with what kept it from opening.
 * @param cancel Makes `opening` reject soon; without it, a wire that is not wanted any more is aborted once it is open.
 * @returns a wire in its place
 */
export function lateWire(opening: Promise<Wire>, cancel: (reason: unknown) => void = ignore): Wire {
  let wire: Wire | undefined;
  let last: ((wire: Wire) => void) | undefined;
  const opened = opening.then((it) => {
    wire = it;
    if (it.describe) late.describe = () => it.describe!();
    last?.(it);
    return it.opened;
  });
  opened.catch(ignore);
  /** Before it is open only the last word counts: whether it is to be held, or that it is not wanted any more. */
  const tell = (what: (wire: Wire) => void) => wire ? what(wire) : last = what;
  let aborted = false;
  const late: Wire = {
    opened,
    start: (receiver) => void opened.then(() => wire!.start(receiver), (error) => receiver.end(error)),
    write: (chunk) => wire ? wire.write(chunk) : opened.then(() => wire!.write(chunk)),
    end: () => opened.then(() => wire!.end()).catch(ignore),
    abort(reason) {
      aborted = true;
      tell((it) => it.abort(reason));
      if (!wire) cancel(reason);
    },
    hold(on) {
      if (!aborted) tell((it) => it.hold(on));
    },
    closed: opening.then((it) => it.closed, () => undefined),
  };
  return late;
}
