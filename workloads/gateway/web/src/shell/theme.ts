// The page's colours as canvases need them: the style sheet has them, for light, dark and high contrast.
import { computed, signal } from "@preact/signals";

const NAMES = [
  "ground", "panel", "raised", "line", "grid", "text", "muted", "accent", "up", "down", "warn", "series1", "series2", "series3", "series4",
] as const;
export type ColorName = (typeof NAMES)[number];
export type Colors = Record<ColorName, string>;

/** Counts changes of the system's scheme and contrast. */
const changes = signal(0);

/** The colours of the present scheme. A canvas that reads them is drawn again when the scheme changes. */
export const colors = computed<Colors>(() => {
  void changes.value;
  const style = getComputedStyle(document.documentElement);
  return Object.fromEntries(NAMES.map((name) => [name, style.getPropertyValue(`--${name}`).trim() || "#888888"])) as Colors;
});

export function watchTheme(): void {
  for (const query of ["(prefers-color-scheme: dark)", "(prefers-contrast: more)"])
    window.matchMedia(query).addEventListener("change", () => (changes.value += 1));
}

/** A colour of the style sheet, such as #2fbf8f, with an opacity. */
export function faded(color: string, opacity: number): string {
  const hex = /^#([0-9a-f]{6})$/i.exec(color)?.[1];
  if (hex === undefined) return color;
  const [red, green, blue] = [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16));
  return `rgba(${red}, ${green}, ${blue}, ${opacity})`;
}
