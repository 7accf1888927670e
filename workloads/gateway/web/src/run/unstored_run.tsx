// In place of a report: that its run starts, or why it does not. A run is stored once its pod has begun it.
import { problemOf } from "../deck/resource_facts";
import { backtests } from "../data/resources";
import type { Resource } from "../data/types";
import { Panel } from "../shell/panel";
import { useAll } from "../shell/watched";
import { FailurePanel } from "./failure_panel";

/** ``error``: why the run could not be loaded; null while it is being loaded. */
export function UnstoredRun({ id, error }: { id: string; error: string | null }) {
  useAll(backtests);
  const known = backtests.signal.value.value;
  const of = (known ?? []).find(({ metadata }) => metadata.uid === id);
  if (error === null || (known === null && backtests.signal.value.error === null)) return <Waiting error={null} />;
  if (of === undefined) return <Waiting error={error} />;
  const { namespace, name } = of.metadata;
  const problem = problemOf(of);
  return (
    <div class="report">
      <section class="panel head-of-run" aria-label="Run">
        <h2>{name}</h2>
        <p role="status">{startText(of)}</p>
        {problem !== "" && <p class="message">{problem}</p>}
      </section>
      {of.status?.phase === "Failed" && <FailurePanel run={{ run_id: id, namespace, name, message: problem }} />}
    </div>
  );
}

const Waiting = ({ error }: { error: string | null }) => (
  <div class="report">
    <Panel of={{ value: null, error }} class="head-of-run">{() => null}</Panel>
  </div>
);

function startText({ status }: Resource): string {
  const phase = status?.phase ?? "Pending";
  if (phase === "Failed") return "It failed before its run began.";
  if (phase === "Suspended") return "It is suspended: its run begins when it is resumed.";
  return `It is starting (${phase}). Its report is shown here once the run is stored.`;
}
