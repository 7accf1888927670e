// What is shown of text from outside, compared with escapes written by hand.
import { afterEach, describe, expect, it, vi } from "vitest";
import { draw } from "../src/figures";
import { fill } from "../src/pickers";
import { option, printable, setHint, setText } from "../src/text";

const HOSTILE = "a\x1b]0;owned\x07b\x1b[2Jc\x9b31md\u202ee\u2066f\u200bg\u2028h\rj";
const SHOWN = "a\\x1b]0;owned\\x07b\\x1b[2Jc\\x9b31md\\u202ee\\u2066f\\u200bg\\u2028h\\x0dj";

afterEach(() => vi.unstubAllGlobals());

/** An element as far as the page's code uses one. */
const element = () => ({ textContent: "", title: "", dataset: {} as DOMStringMap }) as unknown as HTMLElement;

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
  it("is cleaned", () => {
    const shown = element();
    setText(shown, HOSTILE);
    setHint(shown, HOSTILE);
    expect([shown.textContent, shown.title]).toEqual([SHOWN, SHOWN]);
  });

  it("keeps the value of a choice, which the gateway is asked for", () => {
    class FakeOption {
      constructor(
        readonly text: string,
        readonly value: string,
      ) {}
    }
    vi.stubGlobal("Option", FakeOption);
    expect(option(HOSTILE, HOSTILE)).toEqual({ text: SHOWN, value: HOSTILE });
    const drawn: unknown[] = [];
    const select = { dataset: {}, value: "", disabled: false, replaceChildren: (...all: unknown[]) => drawn.push(...all) };
    fill(select as unknown as HTMLSelectElement, [{ value: "uid", text: HOSTILE }], "uid");
    expect(drawn).toEqual([{ text: SHOWN, value: "uid" }]);
  });

  it("of a figure is its name, its text and its hint", () => {
    vi.stubGlobal("HTMLElement", class {});
    const [name, value] = [element(), Object.assign(new HTMLElement(), element())];
    const list = { children: [{ children: [name, value] }] };
    draw(list as unknown as HTMLElement, [{ name: HOSTILE, text: HOSTILE, hint: HOSTILE }]);
    expect([name.textContent, value.textContent, value.title]).toEqual([SHOWN, SHOWN, SHOWN]);
  });
});
