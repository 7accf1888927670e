// Sends controls of a replay to the gateway. What they have done shows in the replay's state.
import { signal } from "@preact/signals";
import { refreshResources } from "../data/resources";
import { messageOf, send } from "../data/request";

/** See docs/guides/control-api.md. Times are milliseconds UTC; null removes a loop, or the time to stop at. */
export interface Controls {
  paused?: boolean;
  speed?: number;
  unpaced?: boolean;
  seek?: number;
  step?: number;
  loop?: number | "forever" | null;
  until?: number | null;
}

/** How many controls are under way. */
export const sending = signal(0);
/** Why the last control was refused; null where it was not. */
export const controlProblem = signal<string | null>(null);

/** Returns whether the gateway has taken the controls. */
export async function control(replay: { namespace: string; name: string }, controls: Controls): Promise<boolean> {
  sending.value += 1;
  try {
    await send("POST", `/api/v1/namespaces/${replay.namespace}/replays/${replay.name}/controls`, controls);
    controlProblem.value = null;
    void refreshResources();
    return true;
  } catch (error) {
    controlProblem.value = messageOf(error);
    return false;
  } finally {
    sending.value -= 1;
  }
}
