// Formatting of numbers and times for people. All times are UTC.

/** Stands for a value that is missing. */
export const MISSING = "–";

export function time(ms: number | null): string {
  if (ms === null) return MISSING;
  return new Date(ms).toISOString().slice(0, 16).replace("T", " ");
}

/** Significant digits that a number below 1 keeps, whatever its decimals: a price of 0.0000123 is not 0.00. */
const SIGNIFICANT_DIGITS = 3;

export function number(value: number | null | undefined, decimals = 2): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return MISSING;
  const magnitude = value === 0 ? 0 : Math.floor(Math.log10(Math.abs(value)));
  const needed = magnitude < 0 ? Math.min(SIGNIFICANT_DIGITS - 1 - magnitude, 100) : 0;
  return value.toLocaleString("en-US", {
    minimumFractionDigits: decimals,
    maximumFractionDigits: Math.max(decimals, needed),
  });
}

/** Significant digits of a size: as many as an account of a hundred millionths has below one coin. */
const SIZE_DIGITS = 8;

/** How much is held or traded: with the digits that it has, as lots of 1.28 and fractions of coins have some. */
export function size(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return MISSING;
  const magnitude = value === 0 ? 0 : Math.floor(Math.log10(Math.abs(value)));
  const decimals = Math.min(Math.max(0, SIZE_DIGITS - 1 - magnitude), 100);
  return value.toLocaleString("en-US", { maximumFractionDigits: decimals });
}

/** A double has no more decimals, and what is beyond ten significant digits is the noise of arithmetic. */
const [DECIMALS_MAX, EXACT_DIGITS] = [15, 10];

/** The decimals that a value or the step of a price is written with: 0.25 has two, 5 has none. */
export function decimalsOf(value: number): number {
  const exact = Number(value.toPrecision(EXACT_DIGITS));
  let decimals = 0;
  while (decimals < DECIMALS_MAX && Number(exact.toFixed(decimals)) !== exact) decimals += 1;
  return decimals;
}

/** Decimals of prices whose step nobody has told: those that some of them use, two at least. */
export const PRICE_DECIMALS = 2;
export const decimalsOfPrices = (prices: readonly (number | null | undefined)[]): number =>
  prices.reduce<number>(
    (most, price) => (typeof price === "number" && Number.isFinite(price) ? Math.max(most, decimalsOf(price)) : most),
    PRICE_DECIMALS,
  );

export function percent(value: number | null | undefined, signed = false): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return MISSING;
  return `${signed && value > 0 ? "+" : ""}${number(value)} %`;
}
