// What can be done with a run: repeat it, and save its results as files.
import { useState } from "preact/hooks";
import { messageOf, send } from "../data/request";
import { Link } from "../shell/router";
import { saveFile } from "./files";
import { runPath } from "./run_parts";
import type { RunInputs, RunReport } from "./types";

type Rows = "equity" | "trades" | "fills" | "excursions";

/** Buttons that save rows of a run. */
export function SaveRows({ run, rows }: { run: string; rows: readonly Rows[] }) {
  const [problem, setProblem] = useState("");
  const save = (name: Rows, format: "csv" | "parquet") => {
    setProblem("");
    saveFile(`${runPath(run)}/${name}`, { format }, `${name}.${format}`).catch((error: unknown) => setProblem(messageOf(error)));
  };
  return (
    <span class="save">
      {rows.map((name) =>
        (["csv", "parquet"] as const).map((format) => (
          <button type="button" class="quiet" key={`${name}.${format}`} onClick={() => save(name, format)}>
            {`${name}.${format}`}
          </button>
        )),
      )}
      {problem !== "" && <span role="alert" class="stale">{problem}</span>}
    </span>
  );
}

interface Repeated {
  backtest: string;
  uid: string;
}

type RepeatState = { is: "idle" } | { is: "asked" } | { is: "done"; repeated: Repeated } | { is: "failed"; message: string };

export function RunActions({ run, inputs }: { run: RunReport; inputs: RunInputs | null }) {
  const [state, setState] = useState<RepeatState>({ is: "idle" });
  const obstacle = inputs?.obstacle ?? "";
  const repeat = () => {
    setState({ is: "asked" });
    const path = `/api/v1/namespaces/${encodeURIComponent(run.namespace)}/runs/${encodeURIComponent(run.run_id)}/repeat`;
    send<Repeated>("POST", path).then(
      (repeated) => setState({ is: "done", repeated }),
      (error: unknown) => setState({ is: "failed", message: messageOf(error) }),
    );
  };
  const saveReport = () =>
    void saveFile(`${runPath(run.run_id)}/report.html`, {}, "report.html").catch((error: unknown) =>
      setState({ is: "failed", message: messageOf(error) }),
    );
  return (
    <>
      <button
        type="button"
        class="primary"
        onClick={repeat}
        disabled={state.is === "asked" || inputs === null || obstacle !== ""}
        title={obstacle === "" ? "Run the same strategy on the same data again" : `The run ${obstacle}`}
      >
        Rerun
      </button>
      <button type="button" onClick={saveReport}>Save report</button>
      <Link to={{ view: "compare", ids: [run.run_id] }} class="button">Compare</Link>
      {state.is === "done" && (
        <span role="status">
          Repeated as <Link to={{ view: "run", id: state.repeated.uid }}>{state.repeated.backtest}</Link>
        </span>
      )}
      {state.is === "failed" && <span role="alert" class="stale">{state.message}</span>}
    </>
  );
}
