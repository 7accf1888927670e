// Which parts of the Deck are open, kept by the browser.
import { signal } from "@preact/signals";

export interface Layout {
  lists: boolean;
  drawer: boolean;
}

const KEY = "tapedeck.layout";
/** Wide enough for a list beside the chart. */
const WIDE_PX = 1_000;

export const layout = signal<Layout>(read());

export function toggle(part: keyof Layout): void {
  layout.value = { ...layout.peek(), [part]: !layout.peek()[part] };
  try {
    localStorage.setItem(KEY, JSON.stringify(layout.peek()));
  } catch {
    return; // a browser that keeps nothing
  }
}

function read(): Layout {
  const wide = typeof innerWidth === "number" && innerWidth >= WIDE_PX;
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? "{}") as Partial<Layout>;
    return { lists: kept.lists ?? wide, drawer: kept.drawer ?? wide };
  } catch {
    return { lists: wide, drawer: wide };
  }
}
