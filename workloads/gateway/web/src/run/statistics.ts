// Statistics of a few numbers: what the report computes of trades and of the equity curve.

/** Z of a two-sided interval of 95 %. */
const Z95 = 1.959963984540054;

export const mean = (values: readonly number[]): number | null =>
  values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;

/** The quantile of ascending values, between two of them by their distance. */
export function quantile(ascending: readonly number[], share: number): number | null {
  if (ascending.length === 0) return null;
  const place = (ascending.length - 1) * share;
  const below = Math.floor(place);
  const low = ascending[below] ?? 0;
  const high = ascending[Math.min(below + 1, ascending.length - 1)] ?? low;
  return low + (high - low) * (place - below);
}

export const ascending = (values: readonly number[]): number[] => [...values].sort((a, b) => a - b);

export const median = (values: readonly number[]): number | null => quantile(ascending(values), 0.5);

/** The interval of 95 % of a share, by Wilson (1927), which holds for few cases, too. */
export function shareInterval(hits: number, cases: number): [low: number, high: number] | null {
  if (cases <= 0) return null;
  const share = hits / cases;
  const weight = Z95 ** 2 / cases;
  const centre = (share + weight / 2) / (1 + weight);
  const half = (Z95 / (1 + weight)) * Math.sqrt((share * (1 - share)) / cases + weight / (4 * cases));
  return [Math.max(0, centre - half), Math.min(1, centre + half)];
}

export interface Bin {
  from: number;
  to: number;
  count: number;
}

/** Bins of equal width whose borders are round numbers, with 0 as one of them; `wanted` is about their number. */
export function histogram(values: readonly number[], wanted = 30): Bin[] {
  if (values.length === 0) return [];
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) [low, high] = [Math.min(low, value), Math.max(high, value)];
  const width = roundStep((high - low) / wanted || Math.abs(high) / wanted || 1);
  const first = Math.floor(low / width);
  const count = Math.max(1, Math.floor(high / width) - first + 1);
  const counts = new Array<number>(count).fill(0);
  for (const value of values) {
    const at = Math.min(count - 1, Math.max(0, Math.floor(value / width) - first));
    counts[at] = (counts[at] ?? 0) + 1;
  }
  return counts.map((number, i) => ({ from: (first + i) * width, to: (first + i + 1) * width, count: number }));
}

/** The smallest of 1, 2, 2.5, 5 and their multiples by powers of ten that is at least `step`. */
export function roundStep(step: number): number {
  const power = 10 ** Math.floor(Math.log10(step));
  const factor = [1, 2, 2.5, 5, 10].find((each) => each * power >= step * (1 - 1e-9)) ?? 10;
  return factor * power;
}
