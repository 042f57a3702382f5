/**
 * What the bench of objects runs in other processes, by across.
 *
 * @module
 */

import { Served } from "../../objects/mod.ts";

/** A small task. */
export function square(n: number): number {
  return n * n;
}

/** A large result. */
export function bytes(n: number): Uint8Array {
  return new Uint8Array(1 << 20).fill(n);
}

/** Something to be driven. */
export class Meter {
  count = 0;
  stop = false;
  readonly remote: Served<Meter> = new Served<Meter>(this);

  add(n: number): this {
    this.count += n;
    return this;
  }
}

/** Lets operations in as they come, or between two steps. */
export async function serve(meter: Meter, background: boolean): Promise<void> {
  const listening = meter.remote.listen({ background });
  while (!meter.stop) {
    if (background) await new Promise((resolve) => setTimeout(resolve, 10));
    else await meter.remote.processRequests({ timeout: 10 });
  }
  listening[Symbol.dispose]();
}
