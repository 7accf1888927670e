// Why a run failed: the traceback of its strategy, and the ends of its pods' logs.
import { useWatched } from "../shell/watched";
import { Polled } from "../data/loadable";
import { Panel } from "../shell/panel";
import { logOf, PARTS_MS } from "./run_parts";
import type { FailedRun } from "./types";

export function FailurePanel({ run }: { run: FailedRun }) {
  const log = useWatched(() => new Polled(() => logOf(run), PARTS_MS), [run.run_id]);
  return (
    <section class="panel wide failure" aria-label="Why the run failed">
      <header class="panel-title">
        <h2>The run failed</h2>
      </header>
      <pre tabIndex={0}>{run.message}</pre>
      <Panel title="Log" of={log} empty={(pods) => (pods.every(({ lines }) => lines.length === 0) ? <p>No log: its Backtest or its pods were deleted</p> : null)}>
        {(pods) =>
          pods.map(({ pod, phase, lines }) => (
            <details open key={pod}>
              <summary>{`${pod}: ${phase}`}</summary>
              <pre tabIndex={0}>{lines.join("\n")}</pre>
            </details>
          ))
        }
      </Panel>
    </section>
  );
}
