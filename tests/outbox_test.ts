/**
 * When messages leave: behind which others, and how much of them in one write. What their bytes are is in `frames_test.ts`.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { LIMITS } from "../protocol/limits.ts";
import type { LargeMessage } from "../protocol/outbox.ts";
import { Outbox } from "../protocol/outbox.ts";

Deno.test("a write carries more of a large message where the last one was fast", () => {
  const outbox = new Outbox(1 << 30);
  outbox.commit(outbox.begin(), [new Uint8Array(1 << 23)]);
  const sizes: number[] = [];
  for (const took of [Infinity, 0, 1_000, 1, 0]) {
    const bytes = outbox.take()!;
    sizes.push(Math.round(bytes.length / LIMITS.fragmentSize));
    outbox.recycle(bytes, took);
  }
  assertEquals(sizes, [2, 2, 8, 2, 8]);
});

Deno.test("a message that is committed behind others leaves when they have, and not before", () => {
  const outbox = new Outbox(1 << 30);
  const first = outbox.commit(outbox.begin(), [new Uint8Array(1 << 20).fill(1)])!;
  const second = outbox.commit(outbox.begin(), [new Uint8Array(1 << 20).fill(2)])!;
  const waiting = outbox.commit(outbox.begin(), [], { behind: [first, second] })!;
  const after = outbox.commit(outbox.begin(), [], { behind: [waiting] })!;
  const order: LargeMessage[] = [];
  const all = [first, second, waiting, after];
  for (let bytes = outbox.take(); bytes; bytes = outbox.take()) {
    outbox.recycle(bytes, Infinity);
    for (const message of all) if (message.gone && !order.includes(message)) order.push(message);
  }
  assertEquals(order, all);
  assertEquals(outbox.commit(outbox.begin(), [], { behind: all }), undefined, "nothing to wait for");
});
