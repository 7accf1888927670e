// A replay that has ended takes no more controls: playing it again makes another one of the same data.
import { messageOf, send } from "../data/request";
import { refreshResources, replays } from "../data/resources";
import type { ReplaySpec, Resource } from "../data/types";
import { choose } from "../deck/selection";
import { nextName } from "./attached_runs";
import { controlProblem } from "./controls";

/** What of a spec is played again: the data and how fast, not where somebody has sought or stopped. */
export function againSpec({ seek, step, until, paused, ...spec }: ReplaySpec & Record<string, unknown>): ReplaySpec {
  void [seek, step, until, paused];
  return spec;
}

/** Make the replay, and show it. */
export async function playAgain({ apiVersion, kind, metadata, spec }: Resource<ReplaySpec>): Promise<void> {
  const { namespace } = metadata;
  const known = (replays.signal.peek().value ?? []).filter((each) => each.metadata.namespace === namespace);
  const name = nextName(metadata.name, new Set(known.map((each) => each.metadata.name)));
  try {
    const body = { apiVersion, kind, metadata: { name, namespace }, spec: againSpec(spec) };
    await send("POST", `/api/v1/namespaces/${namespace}/replays`, body);
    controlProblem.value = null;
    choose({ replay: null, run: null, symbol: null }); // the newest that plays
    await refreshResources();
  } catch (error) {
    controlProblem.value = messageOf(error);
  }
}
