// @vitest-environment happy-dom
// Sharing what is shown: the whole address is copied, and the button says so; where a browser refuses, it can be copied by hand.
import { render } from "preact";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { navigate, startRouter } from "../src/shell/router";
import { ShareButton } from "../src/shell/share_button";

let place: HTMLElement;
const settled = () => vi.advanceTimersByTimeAsync(50);
const share = async () => {
  place.querySelector("button")?.click();
  await settled();
};
const said = () => place.querySelector("[role='status']")?.textContent;
const clipboard = (writeText?: (text: string) => Promise<void>) =>
  Object.defineProperty(navigator, "clipboard", { value: writeText && { writeText }, configurable: true });

beforeEach(() => {
  vi.useFakeTimers();
  history.replaceState(null, "", "/run/r1?trade=7");
  startRouter();
  place = document.body.appendChild(document.createElement("div"));
  render(<ShareButton />, place);
});
afterEach(() => {
  render(null, place);
  place.remove();
  vi.useRealTimers();
});

it("copies the address, and says so for a moment", async () => {
  const copied: string[] = [];
  clipboard((text) => Promise.resolve(void copied.push(text)));
  await share();
  expect([copied, said()]).toEqual([[`${location.origin}/run/r1?trade=7`], "Link copied: it opens on this computer only"]);
  await vi.advanceTimersByTimeAsync(4_000);
  expect(said()).toBe("");
});

it.each([
  ["https://deck.example", "Link copied"], ["http://127.0.0.1:8080", "Link copied: it opens on this computer only"],
  ["http://127.example", "Link copied"], ["http://[::1]:8080", "Link copied: it opens on this computer only"],
])("says of %s: %s", async (origin, text) => {
  const before = location.href;
  const { happyDOM } = window as unknown as { happyDOM: { setURL: (url: string) => void } };
  happyDOM.setURL(`${origin}/run/r1`);
  clipboard(() => Promise.resolve());
  await share();
  expect(said()).toBe(text);
  happyDOM.setURL(before);
});

it("shows the address where the browser does not copy it, until another view is shown", async () => {
  clipboard();
  await share();
  expect([place.querySelector("input")?.value, said()]).toEqual([`${location.origin}/run/r1?trade=7`, ""]);
  navigate("/markets");
  await settled();
  expect(place.querySelector("input")).toBeNull();
});
