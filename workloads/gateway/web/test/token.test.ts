import { beforeEach, expect, test, vi } from "vitest";
import { currentToken, keepToken, requestHeaders, takeTokenFromAddress } from "../src/token";

const kept = new Map<string, string>();
const replaceState = vi.fn();

function open(hash: string): void {
  vi.stubGlobal("location", { hash, pathname: "/", search: "?replay=x" });
  takeTokenFromAddress();
}

beforeEach(() => {
  kept.clear();
  replaceState.mockClear();
  vi.stubGlobal("history", { replaceState });
  vi.stubGlobal("sessionStorage", {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => kept.set(key, value),
  });
});

test("a token in the address is kept, and removed from the address", () => {
  open("#token=abc-._~123");
  expect(currentToken()).toBe("abc-._~123");
  expect(replaceState).toHaveBeenCalledWith(null, "", "/?replay=x");
  expect(requestHeaders()).toEqual({ authorization: "Bearer abc-._~123" });
});

test("an address without a token leaves the kept one", () => {
  keepToken(" entered ");
  open("#elsewhere");
  expect(currentToken()).toBe("entered");
  expect(replaceState).not.toHaveBeenCalled();
});

test("without a token nothing is sent", () => {
  open("");
  expect(requestHeaders()).toEqual({});
});
