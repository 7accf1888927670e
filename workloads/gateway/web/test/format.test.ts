// Formatting, compared with values written by hand.
import { describe, expect, it } from "vitest";
import { decimalsOf, decimalsOfPrices, fixed, MISSING, number, percent, signedFixed, signedNumber, size, spanText, time } from "../src/format";

describe("time", () => {
  it("is UTC to the minute", () => {
    expect(time(1_522_800_000_000)).toBe("2018-04-04 00:00");
    expect(time(1_522_886_399_999)).toBe("2018-04-04 23:59");
    expect(time(0)).toBe("1970-01-01 00:00");
  });
  it("shows a missing time as a dash", () => expect(time(null)).toBe(MISSING));
  it("names the second day of a span where that is another one", () => {
    expect(spanText("2018-04-05 22:30", "2018-04-05 23:30")).toBe("2018-04-05 22:30–23:30");
    expect(spanText("2018-04-05 23:30", "2018-04-06 00:30")).toBe("2018-04-05 23:30–2018-04-06 00:30");
  });
});

describe("number", () => {
  it.each([
    [1_234_567.891, 2, "1,234,567.89"],
    [0.005, 2, "0.005"],
    [0.0000123, 2, "0.0000123"], // a price of a small coin
    [-0.0000123, 2, "-0.0000123"],
    [1.23e-9, 2, "0.00000000123"],
    [1.23e-12, 14, "0.00000000000123"], // a price whose decimals are known
    [-1.11e-14, 2, "0.00"], // the noise of arithmetic
    [1.11e-14, 2, "0.00"],
    [-0, 2, "0.00"],
    [-0, 0, "0"],
    [0.00001234567, 2, "0.0000123"],
    [0.5, 2, "0.50"],
    [0.52, 0, "0.52"], // an account in bitcoins
    [0, 2, "0.00"],
    [0, 0, "0"],
    [-37.63, 2, "-37.63"],
    [-7, 2, "-7.00"],
    [9_999.5, 0, "10,000"],
    [0.12345678, 8, "0.12345678"],
  ])("formats %d with %d decimals", (value, decimals, text) => expect(number(value, decimals)).toBe(text));
  it.each([null, undefined, NaN, Infinity, -Infinity])("shows %s as a dash", (value) =>
    expect(number(value)).toBe(MISSING),
  );
});

describe("size", () => {
  it.each([
    [1.28, "1.28"], [0.5, "0.5"], [-2, "-2"], [1_000, "1,000"], [0.00012345, "0.00012345"], [1.40189339835, "1.4018934"],
    [12_345_678.9, "12,345,679"], [0.1 + 0.2, "0.3"], [0, "0"], [-0, "0"], [-1e-17, "0"], [null, MISSING], [NaN, MISSING],
  ])("of %d is %s", (value, text) => expect(size(value)).toBe(text));
});

describe("the decimals", () => {
  it.each([[0.25, 2], [0.5, 1], [0.05, 2], [0.01, 2], [0.000_01, 5], [1e-8, 8], [5, 0], [100, 0], [1.08345, 5], [0.1 + 0.2, 1]])(
    "of %d are %d", (value, decimals) => expect(decimalsOf(value)).toBe(decimals),
  );
  it("of prices are those that one of them uses, two at least", () => {
    expect([decimalsOfPrices([]), decimalsOfPrices([5]), decimalsOfPrices([1.1, 1.08345, null, undefined, NaN])]).toEqual([2, 2, 5]);
  });
});

describe("fixed decimals", () => {
  it("have no sign where they round to 0", () => {
    expect([-0.004, -0.005001, -0, 0.004, -10].map((value) => fixed(value))).toEqual(["0.00", "-0.01", "0.00", "0.00", "-10.00"]);
    expect([fixed(-0.4, 0), fixed(-10, 0)]).toEqual(["0", "-10"]);
    expect([-0.004, 0, 1.5, -1.5].map((value) => signedFixed(value, 1))).toEqual(["+0.0", "+0.0", "+1.5", "-1.5"]);
  });
});

describe("percent", () => {
  it("has a sign only if asked for and positive", () => {
    expect(percent(12.345)).toBe("12.35 %");
    expect(percent(12.345, true)).toBe("+12.35 %");
    expect(percent(-12.345, true)).toBe("-12.35 %");
    expect(percent(0, true)).toBe("0.00 %");
  });
  it("of what is 0 but for the noise of arithmetic has no sign", () => {
    expect([-1.11e-14, 1.11e-14, -0].map((value) => percent(value))).toEqual(["0.00 %", "0.00 %", "0.00 %"]);
    expect([-1.11e-14, 1.11e-14, -0].map((value) => percent(value, true))).toEqual(["0.00 %", "0.00 %", "0.00 %"]);
    expect([-1.11e-14, 1.11e-14, 2].map((value) => signedNumber(value))).toEqual(["0.00", "0.00", "+2.00"]);
  });
  it("shows a missing share as a dash", () => expect(percent(undefined, true)).toBe(MISSING));
});
