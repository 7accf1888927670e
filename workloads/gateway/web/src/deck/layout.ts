// Which parts of the Deck are open, kept by the browser.
import { signal } from "@preact/signals";
import { isPhone } from "../shell/screen";

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

/** On a phone lists and drawer cover the chart: close them for who goes to it. What the browser keeps stays. */
export function uncoverChart(): void {
  if (isPhone.peek()) layout.value = { lists: false, drawer: false };
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
