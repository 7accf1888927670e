// Which rows of a long list are drawn: those in sight, and some around them.
import { useEffect, useReducer, useRef } from "preact/hooks";
import { elementScroll, observeElementOffset, observeElementRect, type VirtualItem, Virtualizer } from "@tanstack/virtual-core";

export interface VirtualRows {
  items: VirtualItem[];
  /** The first and the last row that a reader sees. */
  inSight: [first: number, last: number];
  /** Heights of what is not drawn. */
  above: number;
  below: number;
  scrollTo: (index: number) => void;
}

const OVERSCAN = 12;

/** Rows of one height below a head of that height, which stays in sight. */
export function useVirtualRows(count: number, height: number, element: () => HTMLElement | null): VirtualRows {
  const [, draw] = useReducer<number, void>((n) => n + 1, 0);
  const kept = useRef<Virtualizer<HTMLElement, HTMLElement> | null>(null);
  const options = {
    count,
    estimateSize: () => height,
    getScrollElement: element,
    overscan: OVERSCAN,
    paddingStart: height,
    scrollPaddingStart: height,
    scrollToFn: elementScroll,
    observeElementRect,
    observeElementOffset,
    onChange: () => draw(),
  };
  kept.current ??= new Virtualizer<HTMLElement, HTMLElement>(options);
  const rows = kept.current;
  rows.setOptions(options);
  useEffect(() => rows.measure(), [rows, height]);
  useEffect(() => rows._didMount(), [rows]);
  useEffect(() => rows._willUpdate());
  const items = rows.getVirtualItems();
  return {
    items,
    inSight: [rows.range?.startIndex ?? 0, rows.range?.endIndex ?? -1],
    above: (items[0]?.start ?? height) - height,
    below: rows.getTotalSize() - (items.at(-1)?.end ?? height),
    scrollTo: (index) => rows.scrollToIndex(index),
  };
}
