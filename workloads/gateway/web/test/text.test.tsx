// @vitest-environment happy-dom
// What is shown of text from outside, compared with escapes written by hand.
import { render } from "preact";
import { beforeAll, describe, expect, it } from "vitest";
import { cleanDrawnText, printable, setText } from "../src/text";

const HOSTILE = "a\x1b]0;owned\x07b\x1b[2Jc\x9b31md\u202ee\u2066f\u200bg\u2028h\rj";
const SHOWN = "a\\x1b]0;owned\\x07b\\x1b[2Jc\\x9b31md\\u202ee\\u2066f\\u200bg\\u2028h\\x0dj";

describe("printable", () => {
  it("escapes what a reader can't see", () => expect(printable(HOSTILE)).toBe(SHOWN));
  it.each([
    ["\0", "\\x00"],
    ["\ufeff", "\\ufeff"],
    ["\ud800", "\\ud800"],
    ["\u{e0041}", "\\U000e0041"], // a tag, which no font shows
    ["\u00a0", "\\xa0"],
  ])("escapes %j", (text, shown) => expect(printable(text)).toBe(shown));
  it.each(["BTC/USD 币安 é 📈", "two\nlines\tand a tab", "", "עברית"])("keeps %j", (text) =>
    expect(printable(text)).toBe(text),
  );
});

describe("each way onto the page", () => {
  beforeAll(cleanDrawnText);
  const drawn = (node: preact.ComponentChild) => {
    const place = document.createElement("div");
    render(node, place);
    return place;
  };

  it("is cleaned where Preact draws it: texts, mixed children, and attributes that a reader meets", () => {
    const Shown = ({ name }: { name: string }) => (
      <p title={name} aria-label={name}>
        {name} {1} {[name]}
      </p>
    );
    const shown = drawn(<Shown name={HOSTILE} />).querySelector("p");
    expect(shown?.textContent).toBe(`${SHOWN} 1 ${SHOWN}`);
    expect([shown?.title, shown?.getAttribute("aria-label")]).toEqual([SHOWN, SHOWN]);
  });

  it("keeps the value of a choice, which the gateway is asked for", () => {
    const option = drawn(
      <select>
        <option value={HOSTILE}>{HOSTILE}</option>
      </select>,
    ).querySelector("option");
    expect(option?.getAttribute("value")).toBe(HOSTILE);
    expect(option?.textContent).toBe(SHOWN);
  });

  it("is cleaned where an element is written directly", () => {
    const element = document.createElement("p");
    setText(element, HOSTILE);
    expect(element.textContent).toBe(SHOWN);
  });
});
