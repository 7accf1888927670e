// What the Deck tells of a sweep, which has no account to show: its best trial, where it is known.
import type { Run } from "../data/types";
import { number, percent } from "../format";
import { figureName, figureText } from "../run/report";
import { inputsOf, partOf, settledAs, trialsOf } from "../run/run_parts";
import { directionOf, metricOf, ranked, resultName, returnOf } from "../run/sweep";
import { paramsText } from "../run/trial_text";
import type { SweepSpec, Trial } from "../run/types";
import { useWatched } from "../shell/watched";

interface SweepFacts {
  spec: SweepSpec | undefined;
  /** Null before the end, of very many trials, and where none is feasible. */
  best: Trial | null;
}

async function factsOf(run: Run): Promise<SweepFacts> {
  const { spec } = await inputsOf(run.run_id);
  if (settledAs(run) === "") return { spec: spec.sweep, best: null };
  const { trials, isCut } = await trialsOf(run.run_id);
  return { spec: spec.sweep, best: isCut ? null : (ranked(trials, directionOf(spec.sweep))[0] ?? null) };
}

/** ``isBorrowed``: on another replay, of which the best trial would tell what comes. */
export function SweepNote({ run, isBorrowed }: { run: Run; isBorrowed: boolean }) {
  const settled = settledAs(run);
  const { value } = useWatched(() => partOf(() => settled, () => factsOf(run)), [run.run_id, settled]);
  return <p id="sweep">{sweepText(run.trials, value, isBorrowed)}</p>;
}

function sweepText(trials: number, facts: SweepFacts | null, isBorrowed: boolean): string {
  if (facts?.spec?.walkForward !== undefined) return "This walk-forward has an account of its own once its windows are tested.";
  const none = `A sweep has no account of its own: each of its ${number(trials, 0)} trials has one.`;
  if (isBorrowed || !facts?.best) return none;
  const { best, spec } = facts;
  const objective = resultName(metricOf(spec));
  return `${none} The best: ${figureName(objective)} ${figureText(objective, best.objective)}, return ${percent(returnOf(best), true)}, ${paramsText(best.params)}.`;
}
