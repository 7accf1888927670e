// @vitest-environment happy-dom
// What is asked of the gateway, and what its errors become.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { addressOf, get, RequestError, send, tokenRequired } from "../src/data/request";
import { keepToken } from "../src/token";

const fetched = vi.fn<(address: string, init: RequestInit) => Promise<Response>>();
const answer = (status: number, body: unknown) =>
  fetched.mockResolvedValueOnce(new Response(typeof body === "string" ? body : JSON.stringify(body), { status }));

beforeEach(() => {
  vi.stubGlobal("fetch", fetched);
  keepToken("a-token");
});
afterEach(() => {
  vi.unstubAllGlobals();
  fetched.mockReset();
  sessionStorage.clear();
});

describe("an address", () => {
  it.each([
    [{}, "/x"],
    [{ symbol: "coinbase:BTC/USD", future: undefined, limit: 5 }, "/x?symbol=coinbase%3ABTC%2FUSD&limit=5"],
    [{ run: ["a", "b c"], sweep: true }, "/x?run=a&run=b+c&sweep=1"],
  ])("of %o", (query, address) => expect(addressOf("/x", query)).toBe(address));
});

describe("a request", () => {
  it("carries the token, and returns JSON", async () => {
    answer(200, { runs: [] });
    await expect(get("/api/v1/runs", { limit: 1 })).resolves.toEqual({ runs: [] });
    const [address, init] = fetched.mock.calls[0] ?? ["", {}];
    expect(address).toBe("/api/v1/runs?limit=1");
    expect(init.headers).toEqual({ authorization: "Bearer a-token" });
  });

  it.each([
    ["POST", undefined, "application/json"],
    ["PATCH", undefined, "application/merge-patch+json"],
    ["POST", "application/yaml", "application/yaml"],
  ] as const)("%s of %s has the type %s", async (method, type, expected) => {
    answer(200, {});
    await send(method, "/x", type === undefined ? { paused: true } : "kind: Replay", type);
    const init = fetched.mock.calls[0]?.[1];
    expect(init?.headers).toEqual({ authorization: "Bearer a-token", "content-type": expected });
    expect(init?.body).toBe(type === undefined ? '{"paused":true}' : "kind: Replay");
  });

  it("without an answer of its own is none with a body", async () => {
    fetched.mockResolvedValueOnce(new Response(null, { status: 204 }));
    await expect(send("DELETE", "/x")).resolves.toBeNull();
  });
});

describe("an error", () => {
  const failed = () => get("/x").then(
    () => null,
    (error: unknown) => error,
  );

  it("names the reason and the field of a problem", async () => {
    answer(400, { detail: "spec.speed: got 0.01, expected 0.1 or more", reason: "InvalidInput", field: "spec.speed" });
    expect(await failed()).toMatchObject({
      message: "spec.speed: got 0.01, expected 0.1 or more", status: 400, reason: "InvalidInput", field: "spec.speed",
    });
  });
  it("of UDF has the status 200", async () => {
    answer(200, { s: "error", errmsg: "symbol: got x" });
    expect(await failed()).toMatchObject({ message: "symbol: got x" });
  });
  it("may have no JSON", async () => {
    answer(502, "<html>");
    expect(await failed()).toBeInstanceOf(RequestError);
  });
  it("of a gateway that does not answer has the status 0", async () => {
    fetched.mockRejectedValueOnce(new TypeError("failed to fetch"));
    expect(await failed()).toMatchObject({ message: "The gateway does not answer.", status: 0 });
  });
  it("without a token asks for one", async () => {
    tokenRequired.value = null;
    answer(401, { detail: "token: got none" });
    await failed();
    expect(tokenRequired.value).toBe("reading");
    answer(401, { detail: "token: got none" });
    await expect(send("POST", "/x", {})).rejects.toBeInstanceOf(RequestError);
    expect(tokenRequired.value).toBe("changes");
  });
});
