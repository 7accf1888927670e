// Resolutions of charts, such as "60", "1D" and "5S", and intervals of the gateway, such as "1h", "1d" and "5s".

const UNITS: Readonly<Record<string, string>> = { S: "s", D: "d", W: "w", M: "M" };

/** The interval of a resolution; a number alone counts minutes. Throws RangeError for another text. */
export function intervalOf(resolution: string): string {
  const match = /^(\d*)([SDWM]?)$/.exec(resolution);
  if (match === null || resolution === "") throw new RangeError(`resolution: got ${resolution}, expected 1, 60, 1D …`);
  const [, digits = "", unit = ""] = match;
  const count = digits === "" ? 1 : Number(digits);
  if (unit !== "") return `${count}${UNITS[unit] ?? ""}`;
  return count % 60 === 0 ? `${count / 60}h` : `${count}m`;
}
