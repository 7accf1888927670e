// @vitest-environment happy-dom
// Addresses, compared with ones written by hand, and entries of the browser's history.
import { render } from "preact";
import { beforeEach, describe, expect, it } from "vitest";
import { deckAddress, Link, navigate, parseRoute, pathOf, type Route, route, setQuery, startRouter } from "../src/shell/router";

const SLASHED: Route = { view: "run", id: "team/a run@2.0" };
const ROUTES: [string, Route][] = [
  ["/", { view: "deck" }],
  ["/run/team%2Fa%20run%402.0", SLASHED],
  ["/compare", { view: "compare", ids: [] }],
  ["/compare?run=a&run=b%2Fc", { view: "compare", ids: ["a", "b/c"] }],
  ["/markets", { view: "markets" }],
  ["/new", { view: "new" }],
];

function parsed(address: string): Route {
  const url = new URL(address, "http://deck.example");
  return parseRoute(url.pathname, url.searchParams);
}

describe("an address", () => {
  it.each(ROUTES)("%s is of a view", (address, expected) => {
    expect(parsed(address)).toEqual(expected);
    deckAddress.value = "/";
    expect(pathOf(expected)).toBe(address);
  });
  it.each(["/markets/x", "/elsewhere", "/run/", "/run", "/compare/x"])("%s is of none", (address) =>
    expect(parsed(address)).toEqual({ view: "unknown", path: address }),
  );
  it("of a run may have its slash as it is", () => expect(parsed("/run/team/a%20run%402.0")).toEqual(SLASHED));
});

describe("the history", () => {
  beforeEach(() => {
    history.replaceState(null, "", "/?replay=tape");
    startRouter();
  });

  it("has an entry for each step, and none for a repeated one", () => {
    const before = history.length;
    navigate({ view: "run", id: "r1" });
    navigate({ view: "run", id: "r1" });
    expect(history.length).toBe(before + 1);
    expect(route.value).toEqual({ view: "run", id: "r1" });
  });

  it("follows back and forward", () => {
    history.replaceState(null, "", "/run/r2");
    window.dispatchEvent(new PopStateEvent("popstate"));
    expect(route.value).toEqual({ view: "run", id: "r2" });
  });

  it("leads back to the Deck as it was left", () => {
    setQuery({ symbol: "coinbase:BTC/USD", replay: null });
    navigate({ view: "run", id: "r1" });
    expect(pathOf({ view: "deck" })).toBe("/?symbol=coinbase%3ABTC%2FUSD");
  });

  it("may replace the present entry", () => {
    const before = history.length;
    setQuery({ interval: "1h" }, true);
    expect(location.search).toBe("?replay=tape&interval=1h");
    expect(history.length).toBe(before);
  });

  it("is followed by a click, and left to the browser by one with a modifier", () => {
    const place = document.createElement("div");
    document.body.append(place);
    render(<Link to={{ view: "run", id: "r3" }}>r3</Link>, place);
    const link = place.querySelector("a");
    const click = (options: MouseEventInit) =>
      link?.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true, ...options }));
    expect(click({})).toBe(false);
    expect(route.value).toEqual({ view: "run", id: "r3" });
    expect(click({ ctrlKey: true })).toBe(true);
  });
});
