// How fast the shown replay runs, by the positions that the gateway tells. Its own figure lasts through a change of speed.
import type { ReplayState } from "../data/types";

/** Over so long it is measured, and after so long it is first told. */
const [WINDOW_MS, FIRST_MS] = [5_000, 2_000];

/** The states of the last seconds between which nobody has changed how the replay runs. */
export function recentStates(states: readonly ReplayState[], newest: ReplayState): ReplayState[] {
  const isSame = runsAlike(newest);
  const since = newest.at - WINDOW_MS;
  return [...states.filter((each) => isSame(each) && each.at >= since), newest];
}

const runsAlike = (one: ReplayState) => (other: ReplayState) =>
  one.replay === other.replay && one.epoch === other.epoch && one.speed === other.speed && one.unpaced === other.unpaced &&
  one.paused === other.paused && one.ended === other.ended;

/** Virtual seconds a second; null until it has been measured for long enough, and while nothing runs. */
export function speedBetween(states: readonly ReplayState[]): number | null {
  const moved = states.filter(({ position }) => position !== null);
  const [first, last] = [moved[0], moved.at(-1)];
  if (first === undefined || last === undefined || last.paused || last.ended || last.at - first.at < FIRST_MS) return null;
  return ((last.position ?? 0) - (first.position ?? 0)) / (last.at - first.at);
}
