// Which bars of a series the charting library is given. New data takes it time for each bar that it has, in sight or not: with a
// hundred thousand more than a second, where a screen shows three thousand at most.

/** Bars by their index: those from ``from`` on, before ``to``. */
export interface BarWindow {
  from: number;
  to: number;
}

/** At least so many bars are given on each side of what is in sight. A drag or a swing of the chart passes fewer. */
export const SIDE_BARS = 4_000;

const lengthOf = ({ from, to }: BarWindow): number => to - from;
const sideOf = (sight: BarWindow): number => Math.max(SIDE_BARS, 2 * lengthOf(sight));

/** The window for what is in sight, which may lie beside the bars. */
export function windowAround(sight: BarWindow, count: number): BarWindow {
  const side = sideOf(sight);
  const within = (index: number) => Math.min(count, Math.max(0, Math.round(index)));
  return { from: within(Math.min(sight.from, count - 2) - side), to: within(Math.max(sight.to, 2) + side) };
}

/** Whether what is in sight is near an end of the window that is none of the bars, or the window has become far too large. */
export function isOutgrown(window: BarWindow, sight: BarWindow, count: number): boolean {
  const side = sideOf(sight);
  const lacksOlder = window.from > 0 && sight.from - window.from < side / 2;
  const lacksNewer = window.to < count && window.to - sight.to < side / 2;
  return lacksOlder || lacksNewer || lengthOf(window) > lengthOf(sight) + 4 * side;
}
