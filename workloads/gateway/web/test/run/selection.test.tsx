// @vitest-environment happy-dom
// What is chosen in a report, a sweep and a comparison is in the address, and an address shows it again.
import { act } from "preact/test-utils";
import { render, type VNode } from "preact";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { ComparedFigures } from "../../src/run/compare_panels";
import { HeatMap } from "../../src/run/heat_map";
import { tradeNumber, windowOf } from "../../src/run/selection";
import { tradeRows } from "../../src/run/trades";
import { TradesTable } from "../../src/run/trades_panel";
import { navigate, route, setQuery, startRouter } from "../../src/shell/router";
import { report, trade } from "./made";

vi.mock("uplot", () => ({ default: class { destroy() {} setSize() {} setData() {} } })); // happy-dom has no canvas
vi.stubGlobal("ResizeObserver", class { observe() {} unobserve() {} disconnect() {} });

const ROWS = tradeRows([
  trade({ seq: 0, symbol: "ETH/USD", pnl_net: 3 }), trade({ seq: 1, symbol: "ETH/USD", pnl_net: -3 }), trade({ seq: 2, pnl_net: 5 }),
], []);
let place: HTMLElement;
let entries = 0;

const show = (view: VNode) => void act(() => render(view, place));
const input = (label: string) => place.querySelector(`[aria-label="${label}"]`) as HTMLInputElement;
const select = (label: string) =>
  [...place.querySelectorAll("label")].find(({ textContent }) => textContent?.startsWith(label))?.querySelector("select") as HTMLSelectElement;
const change = (element: HTMLInputElement | HTMLSelectElement, value: string, event: string) => {
  element.value = value;
  void act(() => void element.dispatchEvent(new Event(event, { bubbles: true })));
};

beforeEach(() => {
  history.replaceState(null, "", "/run/r1");
  startRouter();
  place = document.createElement("div");
  document.body.replaceChildren(place);
  entries = history.length;
});

describe("the trades of a report", () => {
  const table = <TradesTable rows={ROWS} leftOut={0} decimals={() => 2} chosen={null} interval="1m" choose={() => undefined} />;

  it("are those of the address, in its order", () => {
    navigate("/run/r1?sort=-pnl_net&find=eth&outcome=lost&trade=1", true);
    show(table);
    expect(place.querySelector("[role=status]")?.textContent).toBe("1 of 3 trades");
    expect([input("Filter trades").value, input("Outcome").value]).toEqual(["eth", "lost"]);
    const sorted = [...place.querySelectorAll("[aria-sort]")].find((head) => head.getAttribute("aria-sort") === "descending");
    expect(sorted?.textContent).toContain("Profit");
    expect(tradeNumber.value).toBe(1);
  });

  it("are kept in the address, without entries of the history", () => {
    show(table);
    const before = route.value;
    change(input("Filter trades"), "eth", "input");
    change(input("Outcome"), "won", "change");
    void act(() => place.querySelector<HTMLElement>("th button")?.click());
    expect(place.querySelector("[role=status]")?.textContent).toBe("1 of 3 trades");
    expect(location.search).toBe("?find=eth&outcome=won&sort=-seq");
    change(input("Outcome"), "all", "change");
    change(input("Filter trades"), "", "input");
    expect(location.search).toBe("?sort=-seq");
    expect(history.length).toBe(entries);
    expect(route.value).toBe(before); // the view around the table is not drawn again
  });

  it("begin with the worst where their profit is sorted first", () => {
    show(table);
    const head = [...place.querySelectorAll<HTMLElement>("th button")].find(({ textContent }) => textContent === "Profit");
    void act(() => head?.click());
    expect(location.search).toBe("?sort=pnl_net");
    void act(() => head?.click());
    expect(location.search).toBe("?sort=-pnl_net");
  });

  it("are shown from the first one on after a change of order or filter, and stay where they are loaded again", () => {
    show(table);
    const rows = place.querySelector(".rows") as HTMLElement;
    const scrolled = (change: () => void) => {
      rows.scrollTop = 500;
      change();
      return rows.scrollTop;
    };
    const again = <TradesTable rows={[...ROWS]} leftOut={0} decimals={() => 2} chosen={null} interval="1m" choose={() => undefined} />;
    expect(scrolled(() => show(again))).toBe(500);
    expect(scrolled(() => void act(() => place.querySelector<HTMLElement>("th button")?.click()))).toBe(0);
    expect(scrolled(() => change(input("Filter trades"), "eth", "input"))).toBe(0);
    expect(scrolled(() => change(input("Outcome"), "won", "change"))).toBe(0);
  });

  it.each(["?trade=x", "?trade=-1", "?trade=", ""])("%j chooses none", (query) => {
    navigate(`/run/r1${query}`, true);
    expect(tradeNumber.value).toBeNull();
  });
});

describe("the heat map of a sweep", () => {
  it("has axes and metric of the address, and keeps them there", async () => {
    const asked: Record<string, string>[] = [];
    vi.stubGlobal("fetch", (address: string) => {
      asked.push(Object.fromEntries(new URL(address, "http://x").searchParams));
      return Promise.resolve(new Response(JSON.stringify({ x: "a", y: "b", metric: "sharpe", xs: [], ys: [], values: [], counts: [] })));
    });
    navigate("/run/r1?x=slow&y=fast&metric=sharpe", true);
    show(<HeatMap id="r1" trials={[]} chosen={undefined} names={["fast", "slow"]} metrics={["sharpe"]} window={2} objective="sharpe" direction="maximize" cash={1_000} />);
    await vi.waitFor(() => expect(asked).toEqual([{ x: "slow", y: "fast", metric: "sharpe", window: "2" }]));
    change(select("Across"), "fast", "change");
    change(select("Colour"), "objective", "change");
    expect(location.search).toBe("?y=fast&x=fast");
    await vi.waitFor(() => expect(asked.at(-1)).toEqual({ x: "fast", y: "fast", metric: "objective", window: "2" }));
    render(null, place);
    vi.unstubAllGlobals();
  });

  it("is of a window that there is", () => {
    setQuery({ window: "2" }, true);
    expect([windowOf(["0", "1", "2"]), windowOf(["0", "1"]), windowOf([])]).toEqual([2, 0, 0]);
  });
});

it("a comparison has the figures that are the same where its address says so", () => {
  navigate("/compare?run=a&run=b", true);
  const runs = [report({ run_id: "a" }), report({ run_id: "b" })];
  const metrics = [{ name: "trades", values: [4, 4] }, { name: "sharpe", values: [1, 2] }];
  show(<ComparedFigures comparison={{ runs, params: [], metrics }} />);
  expect(place.querySelectorAll("tbody tr")).toHaveLength(1);
  void act(() => place.querySelector("input")?.click());
  expect(location.search).toBe("?run=a&run=b&same=1");
  expect(place.querySelectorAll("tbody tr")).toHaveLength(2);
});

it("a file without an address keeps what is chosen for itself", async () => {
  vi.resetModules();
  const [router, { choose, filterText }] = await Promise.all([import("../../src/shell/router"), import("../../src/run/selection")]);
  choose({ find: "eth" });
  expect([filterText.value, location.search, router.route.value]).toEqual(["eth", "", { view: "deck" }]);
});
