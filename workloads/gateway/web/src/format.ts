// Formatting of numbers and times for people. All times are UTC.

/** Stands for a value that is missing. */
export const MISSING = "–";

export function time(ms: number | null): string {
  if (ms === null) return MISSING;
  return new Date(ms).toISOString().slice(0, 16).replace("T", " ");
}

/** From one time to another, both such as 2018-04-04 16:48; the second without its day where that is the first one's. */
export const spanText = (from: string, to: string): string =>
  `${from}–${to.slice(0, DAY_LENGTH) === from.slice(0, DAY_LENGTH) ? to.slice(DAY_LENGTH + 1) : to}`;

const DAY_LENGTH = "2018-04-04".length;

/** What is nearer to 0, and has no digit among the decimals that are asked for, is the noise of arithmetic. */
const NOISE = 1e-10;

/** A number without noise: what is 0 but for that is 0, and 0 has no sign. */
export const denoised = (value: number, decimals = 2): number =>
  Math.abs(value) < Math.min(NOISE, 10 ** -decimals / 2) ? 0 : value;

/** Significant digits that a number below 1 keeps, whatever its decimals: a price of 0.0000123 is not 0.00. */
const SIGNIFICANT_DIGITS = 3;

export function number(given: number | null | undefined, decimals = 2): string {
  if (given === null || given === undefined || !Number.isFinite(given)) return MISSING;
  const value = denoised(given, decimals);
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
export function size(given: number | null | undefined): string {
  if (given === null || given === undefined || !Number.isFinite(given)) return MISSING;
  const value = denoised(given);
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

/** As many decimals as are asked for, and no more. What rounds to 0 has no sign. */
export const fixed = (value: number, decimals = 2): string => value.toFixed(decimals).replace(/^-(?=[0.]*$)/, "");

/** The same with a plus above 0 and at it. */
export const signedFixed = (value: number, decimals = 2): string => {
  const text = fixed(value, decimals);
  return text.startsWith("-") ? text : `+${text}`;
};

/** A number with a plus above 0. */
export const signedNumber = (value: number, decimals = 2): string => `${denoised(value) > 0 ? "+" : ""}${number(value, decimals)}`;

export function percent(value: number | null | undefined, signed = false): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return MISSING;
  return `${signed ? signedNumber(value) : number(value)} %`;
}
