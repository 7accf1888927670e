// @vitest-environment happy-dom
// A resource is deleted from the lists after a question, which says what of it stays.
import { describe, expect, it, vi } from "vitest";
import { answers, eventually, open, place } from "./deck_page";

vi.mock("lightweight-charts", async () => (await import("./fake_charts")).fakeCharts);

const button = (name: string) => [...place.querySelectorAll("button")].find((each) => (each.getAttribute("aria-label") ?? each.textContent) === name);

describe("a resource of the lists", () => {
  const asked = async () => {
    const deleted: string[] = [];
    const answering = fetch;
    vi.stubGlobal("fetch", (address: string, init?: RequestInit) => {
      if (init?.method !== "DELETE") return answering(address, init);
      deleted.push(new URL(address, "http://x").pathname);
      answers["/api/v1/replays"] = { replays: [] };
      return Promise.resolve(new Response(null, { status: 204 }));
    });
    history.replaceState(null, "", "/");
    await open();
    await eventually(() => expect(button("Delete Replay tape")).toBeDefined());
    button("Delete Replay tape")?.click();
    await eventually(() => expect(place.querySelector("dialog")?.textContent).toContain("Stored bars and the results of runs stay."));
    return deleted;
  };

  it("is deleted after a question", async () => {
    const deleted = await asked();
    expect(deleted).toEqual([]);
    button("Delete it")?.click();
    await eventually(() => expect(button("Delete Replay tape")).toBeUndefined());
    expect(deleted).toEqual(["/api/v1/namespaces/default/replays/tape"]);
    expect(place.querySelector("dialog")).toBeNull();
  });
  it("is deleted once where the button is pressed twice", async () => {
    const deleted = await asked();
    button("Delete it")?.click();
    button("Delete it")?.click();
    await eventually(() => expect(button("Delete Replay tape")).toBeUndefined());
    expect(deleted).toHaveLength(1);
  });
  it("makes room for the form that asks for a token, and tells of no former refusal", async () => {
    await asked();
    vi.stubGlobal("fetch", () => Promise.resolve(new Response(JSON.stringify({ detail: "token: got none" }), { status: 401 })));
    button("Delete it")?.click();
    await eventually(() => expect([place.querySelector("dialog"), place.querySelector("#login") !== null]).toEqual([null, true]));
    button("Only watch")?.click();
    await eventually(() => expect(place.querySelector("#login")).toBeNull());
    button("Delete Replay tape")?.click();
    await eventually(() => expect(place.querySelector("dialog")?.textContent).toContain("Stored bars"));
    expect(place.querySelector("dialog [role=alert]")).toBeNull();
    button("Keep it")?.click();
  });
  it("is kept where the answer is no", async () => {
    const deleted = await asked();
    button("Keep it")?.click();
    await eventually(() => expect(place.querySelector("dialog")).toBeNull());
    expect([deleted, button("Delete Replay tape") === undefined]).toEqual([[], false]);
  });
});
