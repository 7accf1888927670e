// The ladder of speeds, in virtual seconds per second, and above it unpaced: as fast as the broker takes records.
export const LADDER = [1, 2, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600, 14_400, 86_400] as const;

export type Speed = number | "unpaced";

/** The next speed of the ladder above or below one, which may be between two. */
export function nextSpeed(from: Speed, direction: 1 | -1): Speed {
  if (from === "unpaced") return direction === 1 ? from : (LADDER.at(-1) ?? 1);
  if (direction === 1) return LADDER.find((each) => each > from) ?? "unpaced";
  return LADDER.findLast((each) => each < from) ?? from;
}

/** The speeds to choose from, with the present one where it is not of the ladder. */
export function choices(current: Speed | null): Speed[] {
  const all = new Set<number>(LADDER);
  if (typeof current === "number") all.add(current);
  return [...[...all].sort((one, other) => one - other), "unpaced"];
}

const UNITS: readonly [seconds: number, name: string][] = [
  [86_400, "d"],
  [3_600, "h"],
  [60, "min"],
  [1, "s"],
];

/** Such as 60× (1 min/s). */
export function speedLabel(speed: Speed): string {
  if (speed === "unpaced") return "unpaced";
  const [seconds, unit] = UNITS.find(([each]) => speed >= each && Number.isInteger(speed / each)) ?? [1, "s"];
  const factor = `${speed.toLocaleString("en-US", { maximumFractionDigits: 3 })}×`;
  return unit === "s" ? factor : `${factor} (${speed / seconds} ${unit}/s)`;
}

/** Such as 59.8×: the measured speed with three digits that count. */
export const measuredLabel = (speed: number): string =>
  `${speed.toLocaleString("en-US", { maximumSignificantDigits: speed >= 1_000 ? 6 : 3 })}×`;
