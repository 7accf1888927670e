// Each indicator against values that are computed another way: by weights, by moments, by days, and by hand.
import { describe, expect, it } from "vitest";
import type { Bar } from "../src/data/types";
import { bollinger, ema, sma, vwap } from "../src/indicators/averages";
import { formatIndicators, parseIndicators } from "../src/indicators/catalogue";
import { emptyColumns, type Indicator } from "../src/indicators/indicator";
import { atr, macd, rsi } from "../src/indicators/oscillators";

const MINUTE = 60_000;
const MIDNIGHT = Date.UTC(2018, 3, 5);

/** A market of 300 bars around a midnight, from a linear congruential generator. */
function market(): Bar[] {
  let state = 42;
  const random = () => (state = (state * 1_103_515_245 + 12_345) % 2_147_483_648) / 2_147_483_648;
  let close = 100;
  return Array.from({ length: 300 }, (_, n) => {
    const open = close;
    close = open + (random() - 0.5) * 4;
    const [high, low] = [Math.max(open, close) + random(), Math.min(open, close) - random()];
    return { ts: MIDNIGHT + (n - 150) * MINUTE, open, high, low, close, volume: Math.floor(random() * 5), closed: true };
  });
}

const BARS = market();
const CLOSES = BARS.map(({ close }) => close);

function computed(indicator: Indicator, bars: readonly Bar[] = BARS): number[][] {
  const columns = emptyColumns(indicator);
  indicator.extend(bars, columns, 0);
  return columns.slice(0, indicator.outputs.length);
}

function expectNear(found: number[] | undefined, expected: number[]): void {
  expect(found).toHaveLength(expected.length);
  expected.forEach((value, n) => {
    if (Number.isNaN(value)) expect(found?.[n], `value ${n}`).toBeNaN();
    else expect(found?.[n], `value ${n}`).toBeCloseTo(value, 8);
  });
}

/** The weight of each value in an average that takes a share of it, and begins with a mean of the first ``period``. */
function byWeights(values: number[], period: number, share: number): number[] {
  return values.map((_, at) => {
    if (at < period - 1) return NaN;
    const mean = values.slice(0, period).reduce((sum, value) => sum + value / period, 0);
    const later = values.slice(period, at + 1);
    return later.reduce(
      (sum, value, n) => sum + value * share * (1 - share) ** (later.length - 1 - n),
      mean * (1 - share) ** later.length,
    );
  });
}

describe("averages", () => {
  it("SMA is a difference of running sums", () => {
    const sums = [0];
    for (const close of CLOSES) sums.push((sums.at(-1) ?? 0) + close);
    const expected = CLOSES.map((_, n) => (n < 6 ? NaN : ((sums[n + 1] ?? 0) - (sums[n - 6] ?? 0)) / 7));
    expectNear(computed(sma(7))[0], expected);
  });

  it("EMA is a sum of weighted closes", () => expectNear(computed(ema(9))[0], byWeights(CLOSES, 9, 0.2)));

  it("EMA of four closes is as by hand", () => {
    const bars = [2, 4, 6, 9].map((close, n) => ({ ...(BARS[n] as Bar), close }));
    expectNear(computed(ema(3), bars)[0], [NaN, NaN, 4, 6.5]); // (2 + 4 + 6) / 3, then 4 + (9 - 4) / 2
  });

  it("Bollinger bands follow from the second moment", () => {
    const [middle, upper, lower] = computed(bollinger(20, 2));
    const expected = CLOSES.map((_, at) => {
      if (at < 19) return [NaN, NaN, NaN];
      const last = CLOSES.slice(at - 19, at + 1);
      const [mean, square] = [1, 2].map((power) => last.reduce((sum, value) => sum + value ** power, 0) / 20);
      const deviation = Math.sqrt((square ?? 0) - (mean ?? 0) ** 2);
      return [mean, (mean ?? 0) + 2 * deviation, (mean ?? 0) - 2 * deviation];
    });
    [middle, upper, lower].forEach((found, n) => found?.forEach((value, at) => {
      if (at >= 19) expect(value).toBeCloseTo(expected[at]?.[n] ?? NaN, 5);
      else expect(value).toBeNaN();
    }));
  });

  it("VWAP begins at the first midnight that is loaded, and has no value before anything is traded", () => {
    const expected = BARS.map((bar, at) => {
      if (bar.ts < MIDNIGHT) return NaN;
      const day = new Date(bar.ts).getUTCDate();
      const today = BARS.slice(0, at + 1).filter(({ ts }) => new Date(ts).getUTCDate() === day);
      const traded = today.flatMap(({ high, low, close, volume }) => Array<number>(volume).fill((high + low + close) / 3));
      return traded.reduce((sum, price) => sum + price, 0) / traded.length;
    });
    expectNear(computed(vwap())[0], expected);
  });
});

describe("VWAP", () => {
  it("has values of a first bar that opens at midnight", () => {
    const [values] = computed(vwap(), BARS.slice(150).map((bar) => ({ ...bar, volume: 1 })));
    const { high, low, close } = BARS[150] as Bar;
    expect(values?.[0]).toBeCloseTo((high + low + close) / 3, 12);
  });
  it.each([[140, 149, true], [140, 151, false], [150, 160, false], [151, 160, true], [0, 0, false]])(
    "of bars from %d to %d lacks older ones: %s", (from, to, lacks) => expect(vwap().lacksOlder?.(BARS.slice(from, to))).toBe(lacks),
  );
});

describe("oscillators", () => {
  const changes = CLOSES.slice(1).map((close, n) => close - (CLOSES[n] ?? NaN));

  it("RSI is of weighted rises and falls", () => {
    const rises = byWeights(changes.map((each) => (each > 0 ? each : 0)), 14, 1 / 14);
    const falls = byWeights(changes.map((each) => (each < 0 ? -each : 0)), 14, 1 / 14);
    const expected = rises.map((rise, n) => (100 * rise) / (rise + (falls[n] ?? NaN)));
    expectNear(computed(rsi(14))[0], [NaN, ...expected]);
  });

  it("RSI of prices that only rise is 100", () => {
    const bars = [1, 2, 3, 4].map((close, n) => ({ ...(BARS[n] as Bar), close }));
    expectNear(computed(rsi(2), bars)[0], [NaN, NaN, 100, 100]);
  });

  it("MACD is a difference of weighted closes, and its signal a weighted sum of that", () => {
    const slow = byWeights(CLOSES, 26, 2 / 27);
    const line = byWeights(CLOSES, 12, 2 / 13).map((fast, n) => fast - (slow[n] ?? NaN));
    const signal = [...Array<number>(25).fill(NaN), ...byWeights(line.slice(25), 9, 0.2)];
    const [foundLine, foundSignal, histogram] = computed(macd(12, 26, 9));
    expectNear(foundLine, line);
    expectNear(foundSignal, signal);
    expectNear(histogram, line.map((value, n) => value - (signal[n] ?? NaN)));
  });

  it("ATR is of weighted ranges from one close to the next bar", () => {
    const ranges = BARS.map(({ high, low }, n) => {
      const before = n === 0 ? low : (CLOSES[n - 1] ?? NaN);
      return Math.max(high, n === 0 ? high : before) - Math.min(low, before);
    });
    expectNear(computed(atr(14))[0], byWeights(ranges, 14, 1 / 14));
  });
});

describe("while a replay plays", () => {
  const all = [sma(7), ema(9), bollinger(20, 2), vwap(), rsi(14), macd(12, 26, 9), atr(14)];
  it.each(all.map((each) => [each.outputs[0]?.name ?? "", each] as const))("%s continues as if computed at once", (_, indicator) => {
    const columns = emptyColumns(indicator);
    for (let count = 1; count <= BARS.length; count += 1) {
      const running = BARS.slice(0, count);
      const last = running.pop() as Bar;
      indicator.extend([...running, { ...last, close: last.close + 5, high: last.high + 9 }], columns, count - 1);
      indicator.extend([...running, last], columns, count - 1);
    }
    indicator.outputs.forEach((_output, n) => expectNear(columns[n], computed(indicator)[n] ?? []));
  });
  it.each(all.map((each) => [each.outputs[0]?.name ?? "", each] as const))("%s reads no later bar", (_, indicator) => {
    const known = computed(indicator, BARS.slice(0, 120));
    computed(indicator).forEach((column, n) => expectNear(known[n], column.slice(0, 120)));
  });
});

describe("indicators in an address", () => {
  it.each([
    ["sma:50,rsi:14", [{ kind: "sma", values: [50] }, { kind: "rsi", values: [14] }], "sma:50,rsi:14"],
    ["bb,vwap", [{ kind: "bb", values: [20, 2] }, { kind: "vwap", values: [] }], "bb:20:2,vwap"],
    ["@sma5", [{ kind: "transform", series: "sma5", overlay: true }], "@sma5"],
    ["@rsi:pane", [{ kind: "transform", series: "rsi", overlay: false }], "@rsi:pane"],
    ["sma:0,ema:2.6,bb:20:0.5", [
      { kind: "sma", values: [1] }, { kind: "ema", values: [3] }, { kind: "bb", values: [20, 0.5] },
    ], "sma:1,ema:3,bb:20:0.5"],
    ["constructor:1,sma:x,@A b", [{ kind: "sma", values: [20] }], "sma:20"],
    [null, [], ""],
  ])("%s", (text, added, written) => {
    expect(parseIndicators(text)).toEqual(added);
    expect(formatIndicators(parseIndicators(text))).toBe(written);
  });
});
