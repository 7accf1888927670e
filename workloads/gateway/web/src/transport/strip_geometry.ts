// Where things are on the seek strip. A share is 0 at the range's begin and 1 at its end.
interface Range {
  from: number;
  to: number;
}

const MARGIN = 4;
/** The height of a fill's tick. */
export const TICK = 8;

export function shareOf(ts: number, { from, to }: Range): number {
  return to <= from ? 0 : Math.min(1, Math.max(0, (ts - from) / (to - from)));
}

export function timeAt(share: number, { from, to }: Range): number {
  return Math.round(from + Math.min(1, Math.max(0, share)) * (to - from));
}

/** The line of the prices up to a time, as a path of a drawing of this size. Prices are by the open of their part. */
export function pathOf(
  prices: ReadonlyMap<number, number>,
  range: Range,
  until: number,
  width: number,
  height: number,
): string {
  const shown = [...prices].filter(([ts]) => ts >= range.from && ts < until).sort(([one], [other]) => one - other);
  if (shown.length < 2) return "";
  const closes = shown.map(([, close]) => close);
  const [low, high] = [Math.min(...closes), Math.max(...closes)];
  const y = (close: number) => (high === low ? height / 2 : MARGIN + (1 - (close - low) / (high - low)) * (height - 2 * MARGIN));
  return shown
    .map(([ts, close], n) => `${n === 0 ? "M" : "L"}${(shareOf(ts, range) * width).toFixed(1)} ${y(close).toFixed(1)}`)
    .join("");
}

/** Boxes of the strip's height for ranges, each of a width that can be seen. */
export function boxesOf(ranges: readonly Range[], whole: Range, width: number, height: number): string {
  return ranges
    .map(({ from, to }) => {
      const [left, right] = [shareOf(from, whole) * width, shareOf(to, whole) * width];
      return `M${left.toFixed(1)} 0h${Math.max(1, right - left).toFixed(1)}v${height}H${left.toFixed(1)}z`;
    })
    .join("");
}

/** A tick for each time, from ``y`` down. */
export function ticksOf(times: readonly { ts: number }[], whole: Range, width: number, y: number): string {
  return times.map(({ ts }) => `M${(shareOf(ts, whole) * width).toFixed(1)} ${y}h1.5v${TICK}h-1.5z`).join("");
}
