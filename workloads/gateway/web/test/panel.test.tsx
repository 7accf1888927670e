// @vitest-environment happy-dom
// What a panel shows in each of its states, and when its value is loaded.
import { render } from "preact";
import { act } from "preact/test-utils";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Loadable, Polled } from "../src/data/loadable";
import { Panel } from "../src/shell/panel";
import { useWatched } from "../src/shell/watched";

function drawn(of: Loadable<string[]>): HTMLElement {
  const place = document.createElement("div");
  const empty = (value: string[]) => (value.length === 0 ? "No runs." : null);
  render(
    <Panel title="Runs" of={of} empty={empty}>
      {(value) => <p>{value.join(" ")}</p>}
    </Panel>,
    place,
  );
  return place.querySelector("section") as HTMLElement;
}

describe("a panel", () => {
  it.each([
    [{ value: null, error: null }, "loading", "Loading"],
    [{ value: null, error: "no broker" }, "unreachable", "Unreachableno broker"],
    [{ value: [], error: null }, "empty", "No runs."],
    [{ value: ["a", "b"], error: null }, "ready", "a b"],
    [{ value: ["a"], error: "no broker" }, "ready", "aNot up to date: no broker"], // what is known stays in sight
    [{ value: [], error: "no broker" }, "empty", "No runs.Not up to date: no broker"],
  ])("of %o is %s", (of, state, text) => {
    const panel = drawn(of);
    expect(panel.dataset["state"]).toBe(state);
    expect(panel.textContent).toBe(`Runs${text}`);
    expect(panel.getAttribute("aria-busy")).toBe(String(state === "loading"));
  });
});

describe("a value that is loaded again and again", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it("is kept through an error, and loaded only while somebody watches", async () => {
    const answers: (string | Error)[] = ["a", new Error("no database"), "b", "never"];
    const load = vi.fn(() => {
      const next = answers.shift();
      return next instanceof Error ? Promise.reject(next) : Promise.resolve(next ?? "");
    });
    const polled = new Polled(load, 1_000);
    expect(load).not.toHaveBeenCalled();
    const ends = [polled.watch(), polled.watch()];
    await vi.advanceTimersByTimeAsync(0);
    expect(polled.signal.value).toEqual({ value: "a", error: null });
    await vi.advanceTimersByTimeAsync(1_000);
    expect(polled.signal.value).toEqual({ value: "a", error: "no database" });
    ends[0]?.();
    ends[0]?.();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(polled.signal.value).toEqual({ value: "b", error: null });
    ends[1]?.();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(load).toHaveBeenCalledTimes(3);
  });

  it("is loaded again after a change, also while a load is under way", async () => {
    const answers: ((value: string) => void)[] = [];
    const load = vi.fn(() => new Promise<string>((resolve) => answers.push(resolve)));
    const polled = new Polled(load, 1_000);
    const before = polled.refresh();
    await vi.advanceTimersByTimeAsync(0);
    const after = [polled.refresh(), polled.refresh()];
    answers[0]?.("old");
    await before;
    await vi.advanceTimersByTimeAsync(0);
    answers[1]?.("new");
    await Promise.all(after);
    expect(polled.value).toBe("new");
    expect(load).toHaveBeenCalledTimes(2);
  });

  it("draws nothing again where the answer is the same", async () => {
    const polled = new Polled(() => Promise.resolve(["a"]), 1_000);
    const Shown = vi.fn(() => <p>{useWatched(() => polled, []).value}</p>);
    const place = document.createElement("div");
    await act(() => render(<Shown />, place));
    await vi.advanceTimersByTimeAsync(0);
    await act(() => Promise.resolve());
    const count = Shown.mock.calls.length;
    await vi.advanceTimersByTimeAsync(5_000);
    expect(place.textContent).toBe("a");
    expect(Shown.mock.calls.length).toBe(count);
    render(null, place);
  });
});
