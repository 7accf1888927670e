// A replay that has ended takes no more controls: playing it again makes another one of the same data.
import { effect, signal, untracked } from "@preact/signals";
import { messageOf, send } from "../data/request";
import { played, refreshResources, replays, resourceOf } from "../data/resources";
import type { ReplaySpec, Resource } from "../data/types";
import { addressOn, chosenAddress, replay } from "../deck/selection";
import { namesIn, nextName } from "../names";
import { navigate } from "../shell/router";
import { controlProblem } from "./controls";

/** A replay that was made to play another one again, and has not started. */
interface Awaited {
  uid: string;
  name: string;
  /** The uid of the other one. */
  again: string;
}

export const awaited = signal<Awaited | null>(null);
/** Whether one is being made. */
export const isMaking = signal(false);
/** The uid of the last one that was in the list of Replays while it was awaited. */
let listed = "";

/** What of a spec is played again: the data and how fast, not where somebody has sought or stopped. */
export function againSpec({ seek, step, until, paused, ...spec }: ReplaySpec & Record<string, unknown>): ReplaySpec {
  void [seek, step, until, paused];
  return spec;
}

/** Make the replay. The ended one stays in sight until it starts: the address names that, so that no other takes its place. */
export async function playAgain({ apiVersion, kind, metadata, spec }: Resource<ReplaySpec>): Promise<void> {
  if (isMaking.peek()) return;
  isMaking.value = true;
  const { namespace } = metadata;
  const name = nextName(metadata.name, namesIn(namespace, replays.signal.peek().value ?? []));
  navigate(chosenAddress(), true);
  try {
    const body = { apiVersion, kind, metadata: { name, namespace }, spec: againSpec(spec) };
    const made = await send<Resource>("POST", `/api/v1/namespaces/${namespace}/replays`, body);
    controlProblem.value = null;
    awaited.value = { uid: made.metadata.uid, name, again: metadata.uid };
    await refreshResources();
  } catch (error) {
    controlProblem.value = messageOf(error);
  } finally {
    isMaking.value = false;
  }
}

/** Show what was made once it has started, unless it is deleted or the reader goes to another replay before; from now on. */
export function showAwaited(): () => void {
  return effect(() => {
    const wanted = awaited.value;
    if (wanted === null) return;
    const found = resourceOf(wanted);
    if (found !== null) listed = wanted.uid;
    const isDeleted = found === null && listed === wanted.uid;
    const isFailed = found?.status?.phase === "Failed";
    const isStarted = (played.value ?? []).some(({ uid }) => uid === wanted.uid);
    const isLeft = replay.value?.uid !== wanted.again;
    if (!isLeft && !isStarted && !isFailed && !isDeleted) return;
    untracked(() => {
      awaited.value = null;
      if (!isLeft && isStarted) navigate(addressOn(wanted.uid));
      else if (!isLeft) controlProblem.value = `${wanted.name}: ${isDeleted ? "deleted before it started" : (found?.status?.message ?? "")}`;
    });
  });
}
