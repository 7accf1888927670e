// Times that a reader writes, in UTC: as reports show them, or as resources have them.

const TIME = /^\s*(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d{1,3})?)?))?\s*(?:Z|UTC)?\s*$/;

/** Milliseconds of 2018-04-04, 2018-04-04 12:30, with seconds, or 2018-04-04T12:30:00Z. Null for another text. */
export function parseTime(text: string): number | null {
  const match = TIME.exec(text);
  if (match === null) return null;
  const ms = Date.parse(`${match[1]}T${match[2] ?? "00:00"}Z`);
  return Number.isNaN(ms) ? null : ms;
}

/** A time with a clock as resources have it; any other text as it is: the check says what is wrong with it. */
export function resourceTime(text: string): string {
  const ms = /\d:\d/.test(text) ? parseTime(text) : null;
  return ms === null ? text : new Date(ms).toISOString().replace(".000", "");
}
