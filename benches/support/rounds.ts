/**
 * Measuring several things in turns, so that whatever else the machine does falls on all of them alike, and saying how they compare. What is
 * measured is the business of the benches.
 *
 * @module
 */

/** One of the things that are compared. Runs `count` times whatever it is. */
export interface Contender {
  readonly name: string;
  readonly run: (count: number) => Promise<unknown>;
}

/** What the rounds gave, by the name of the contender: how often a second, one figure for each round. */
export type Rates = Record<string, readonly number[]>;

/** How long to measure. */
export interface Effort {
  /** Milliseconds that each contender runs in each round. */
  readonly slice: number;
  readonly rounds: number;
}

/** The middle one. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/**
 * The middle of the ratios of the rounds, which says more than the ratio of the middles: what disturbs a round disturbs both.
 *
 * @param rates What was measured.
 * @param name Whose rates are divided.
 * @param by Whose rates they are divided by.
 */
export function ratio(rates: Rates, name: string, by: string): number | undefined {
  const above = rates[name], below = rates[by];
  if (!above || !below) return;
  return median(above.map((rate, round) => rate / below[round]!));
}

async function time({ run }: Contender, count: number): Promise<number> {
  const start = performance.now();
  await run(count);
  return performance.now() - start;
}

/**
 * Runs all contenders in turns.
 *
 * @param contenders Who takes part.
 * @param effort How long.
 * @returns how often a second
 */
export async function compare(contenders: readonly Contender[], { slice, rounds }: Effort): Promise<Rates> {
  const rates: Record<string, number[]> = {};
  const counts = new Map<string, number>();
  for (const contender of contenders) {
    // Warm-up, until it is known how many fit into a slice.
    let count = 1;
    let spent = 0;
    for (let total = 0; total < 2 * slice; total += spent) {
      spent = await time(contender, count);
      if (spent < slice / 2) count = Math.ceil(count * Math.min(10, slice / Math.max(spent, 0.1)));
    }
    counts.set(contender.name, Math.max(1, Math.round(count * slice / spent)));
    rates[contender.name] = [];
  }
  for (let round = 0; round < rounds; round++) {
    for (const contender of contenders) {
      const count = counts.get(contender.name)!;
      rates[contender.name]!.push(1000 * count / await time(contender, count));
    }
  }
  return rates;
}
