// Parts that views share: which sides of a box are hidden, and the widest texts of a column.
import { expect, it } from "vitest";
import { inOrder } from "../src/run/figure_order";
import { hiddenSides } from "../src/shell/scroll_box";
import { widestTexts } from "../src/shell/widest";

it.each([
  [0, 300, 300, ""], [0, 301, 300, ""], [0, 500, 300, "right"], [120, 500, 300, "left right"], [200, 500, 300, "left"], [199, 500, 300, "left"],
])("a box that is scrolled by %i, of %i pixels of which %i are in sight, has more: %s", (scrollLeft, scrollWidth, clientWidth, sides) =>
  expect(hiddenSides({ scrollLeft, scrollWidth, clientWidth })).toBe(sides));

it("a column is as wide as its longest texts, of whichever rows", () => {
  const rows = ["1.00", "-12,345.67", "3.00", "1.00", "+100.00", "12.5", "7"];
  expect(widestTexts(rows, (row) => row)).toEqual(["-12,345.67", "+100.00", "1.00"]);
  expect(widestTexts(["-92.50", "-10.00", "-40.25", "235.15", "-11.11"], (row) => row)[0]).toBe("235.15");
  expect(widestTexts([5, 1_000], (row) => row)).toEqual(["1000", "5"]);
  expect(widestTexts([null, {}], (row) => row)).toEqual([]);
  const many = Array.from({ length: 10_000 }, (_, n) => (n === 9_999 ? "the last one" : "x"));
  expect(widestTexts(many, (row) => row)).toEqual(["the last one", "x"]);
});

it("figures are in the order of return, risk, trades and costs, and others after them by name", () => {
  const given = ["sqn", "zeta", "commission", "trades", "alpha", "max_drawdown_percent", "return_percent"].map((name): [string, number] => [name, 1]);
  expect(inOrder(given).map(([name]) => name)).toEqual([
    "return_percent", "max_drawdown_percent", "trades", "sqn", "commission", "alpha", "zeta",
  ]);
});
