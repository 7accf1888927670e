// The one way of text onto the page. Names and messages come from outside: characters that a reader can't see, or that
// change the order of what he sees, are shown as escapes. `tapedeck_crds.text.printable` is its like for messages and terminals.
import { options, type VNode } from "preact";

/** Control characters, marks of direction, characters without width, separators other than a blank, lone surrogates. */
const INVISIBLE = /(?![ \n\t])[\p{C}\p{Z}]/gu;
/** Attributes whose text a reader meets. */
const SHOWN_ATTRIBUTES = ["title", "label", "alt", "placeholder", "aria-label", "aria-description", "aria-valuetext"];

export const printable = (text: string): string => text.replace(INVISIBLE, escaped);

function escaped(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  const [letter, digits] = code <= 0xff ? ["x", 2] : code <= 0xffff ? ["u", 4] : ["U", 8];
  return `\\${letter}${code.toString(16).padStart(digits, "0")}`;
}

/** Clean every text and every attribute that Preact draws from now on. Call it before anything is drawn. */
export function cleanDrawnText(): void {
  const before = options.vnode?.bind(options);
  options.vnode = (node: VNode) => {
    clean(node);
    before?.(node);
  };
}

function clean(node: { type: unknown; props: unknown }): void {
  if (typeof node.props === "string") node.props = printable(node.props); // a text node
  if (typeof node.type !== "string" || typeof node.props !== "object" || node.props === null) return;
  const props = node.props as Record<string, unknown>;
  for (const name of SHOWN_ATTRIBUTES) {
    const value = props[name];
    if (typeof value === "string") props[name] = printable(value);
  }
}

/** Show a text in an element that is written often, and only if it changes. */
export function setText(element: Element, text: string): void {
  const shown = printable(text);
  if (element.textContent !== shown) element.textContent = shown;
}
