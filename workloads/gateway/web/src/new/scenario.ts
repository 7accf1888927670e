// The changes of a Replay's scenario: of each kind its own fields, and the range in which it holds.
import { type Field, initialValues, put, putValues, type Values } from "./fields";
import type { Json } from "./yaml";

const FIELDS_OF: Record<string, readonly [name: string, label: string, initial: string][]> = {
  shock: [["percent", "Percent", "-20"], ["duration", "Duration, seconds", "600"], ["recovery", "Recovery, seconds", ""], ["recovered", "Recovered, percent", ""]],
  volatility: [["factor", "Factor", "3"]],
  trend: [["percentPerDay", "Percent a day", "5"]],
  spread: [["factor", "Factor", "2"]],
  volume: [["factor", "Factor", "5"]],
  outage: [["percent", "Lost, percent", "100"]],
  shuffle: [["seconds", "Segments, seconds", "3600"]],
  delay: [["seconds", "Delay, seconds", "1"], ["jitter", "Jitter, seconds", ""]],
  duplicates: [["percent", "Percent", "1"], ["after", "After, seconds", ""]],
  disorder: [["percent", "Percent", "2"], ["bars", "Bars", ""]],
};

export const CHANGE_KINDS: readonly string[] = Object.keys(FIELDS_OF);
/** As many as a Replay takes. */
export const CHANGES_MAX = 20;

export interface ScenarioEntry {
  kind: string;
  values: Values;
}

/** The fields of the change at a place of the list. A shuffle is of the whole range, and a shock has no end. */
export function changeFields(kind: string, at: number): Field[] {
  const path = `spec.scenario.${at}`;
  const own = (FIELDS_OF[kind] ?? []).map(([name, label, initial]): Field => ({
    id: name, label, type: "number", path: `${path}.${kind}.${name}`, initial,
  }));
  const from: Field = { id: "from", label: "From", type: "time", path: `${path}.from`, hint: "2018-04-05T12:00:00Z" };
  const to: Field = { id: "to", label: "To", type: "time", path: `${path}.to`, hint: "the end if empty" };
  if (kind === "shuffle") return own;
  return kind === "shock" ? [...own, from] : [...own, from, to];
}

export const newChange = (kind: string): ScenarioEntry => ({ kind, values: initialValues(changeFields(kind, 0)) });

export function putChanges(manifest: { [name: string]: Json }, entries: readonly ScenarioEntry[]): void {
  entries.forEach(({ kind, values }, at) => {
    put(manifest, `spec.scenario.${at}.${kind}`, {});
    putValues(manifest, changeFields(kind, at), values);
  });
}
