// What a hole of the strip says of itself: No bars 2018-04-04 16:48–2018-04-05 00:00 (7.2 h).
import { spanText } from "../format";
import { duration } from "../run/lengths_of_time";
import type { Hole } from "./strip_data";

/** ``format`` gives times of the chosen zone, such as 2018-04-04 16:48. */
export const holeText = ({ from, to }: Hole, format: (ts: number) => string): string =>
  `No bars ${spanText(format(from), format(to))} (${duration(to - from)})`;

/** The hole at a time, or as near to it as ``distance``: a narrow one is drawn wider than it is. */
export const holeAt = (holes: readonly Hole[], ts: number, distance: number): Hole | undefined =>
  holes.find(({ from, to }) => ts >= from - distance && ts <= to + distance);
