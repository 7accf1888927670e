// A chosen run when another replay is chosen: it stays where the replay plays its market, else it is put away, and the drawer says so.
import { signal } from "@preact/signals";
import { played, runs } from "../data/resources";
import { isOfMarket } from "./defaults";
import { parameter, replay, run } from "./selection";

interface PutAway {
  run: string;
  replay: string;
  text: string;
}

const last = signal<PutAway | null>(null);

/** The run that stays when a replay is chosen; null for the replay's own. */
export function keptRun(uid: string): string | null {
  const wanted = parameter("run");
  const found = (runs.value ?? []).find(({ run_id }) => run_id === wanted);
  const next = (played.value ?? []).find((each) => each.uid === uid);
  last.value = null;
  if (found === undefined) return null;
  if (next === undefined || isOfMarket(found, next)) return found.run_id; // one that has not started may be of the market
  const market = found.symbols.map((symbol) => `${found.exchange}:${symbol}`).join(", ");
  last.value = { run: found.run_id, replay: uid, text: `${found.name} was put away: it traded ${market}, which ${next.name} does not play.` };
  return null;
}

/** Which run was put away for the shown replay; null where none was, or another has been chosen since. */
export function putAwayText(): string | null {
  const found = last.value;
  if (found === null || parameter("run") !== null || replay.value?.uid !== found.replay || run.value?.run_id === found.run) return null;
  return found.text;
}
