// The one way of text onto the page. Names and messages come from outside: characters that a reader can't see, or that
// change the order of what he sees, are shown as escapes. `tapedeck_crds.text.printable` is its like for messages and terminals.

/** Control characters, marks of direction, characters without width, separators other than a blank, lone surrogates. */
const INVISIBLE = /(?![ \n\t])[\p{C}\p{Z}]/gu;

export const printable = (text: string): string => text.replace(INVISIBLE, escaped);

function escaped(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  const [letter, digits] = code <= 0xff ? ["x", 2] : code <= 0xffff ? ["u", 4] : ["U", 8];
  return `\\${letter}${code.toString(16).padStart(digits, "0")}`;
}

/** Show a text in an element, which is written only if that changes. */
export function setText(element: Element, text: string): void {
  const shown = printable(text);
  if (element.textContent !== shown) element.textContent = shown;
}

/** A new element with a text. */
export function textElement(name: "h2" | "p" | "pre", text: string): HTMLElement {
  const element = document.createElement(name);
  setText(element, text);
  return element;
}

/** Show a text while the pointer is over an element. */
export function setHint(element: HTMLElement, text: string): void {
  element.title = printable(text);
}

/** A choice of a select. */
export const option = (text: string, value: string): HTMLOptionElement => new Option(printable(text), value);
