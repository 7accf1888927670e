// The longest texts of a column: they keep its width while other rows of a long table are drawn.

/** So many rows are looked at, evenly among all, and so many different texts of a column kept: a long one may be narrower. */
const [ROWS_MOST, TEXTS_MOST] = [400, 3];

/** About how wide characters are, where a digit is 1: 235.15 is wider than -92.50. */
const WIDTHS: [characters: RegExp, width: number][] = [[/[.,:'|il\s]/, 0.5], [/-/, 0.6], [/[+%A-Z]/, 1.3]];

const widthOf = (text: string): number =>
  [...text].reduce((sum, character) => sum + (WIDTHS.find(([characters]) => characters.test(character))?.[1] ?? 1), 0);

export function widestTexts<Row>(rows: readonly Row[], textOf: (row: Row) => unknown): string[] {
  const every = Math.max(1, Math.ceil(rows.length / ROWS_MOST));
  const texts = new Set<string>();
  rows.forEach((row, at) => {
    if (at % every !== 0 && at !== rows.length - 1) return;
    const text = textOf(row);
    if (typeof text === "string" || typeof text === "number") texts.add(String(text));
  });
  return [...texts]
    .map((text): [string, number] => [text, widthOf(text)])
    .sort(([, one], [, other]) => other - one)
    .slice(0, TEXTS_MOST)
    .map(([text]) => text);
}
