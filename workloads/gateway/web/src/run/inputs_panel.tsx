// What a run was made of: params, YAML, the fingerprint of its data, images.
import { time } from "../format";
import type { RunInputs, RunReport } from "./types";

export function InputsText({ run, inputs }: { run: RunReport; inputs: RunInputs }) {
  return (
    <>
      <Facts name="Params" facts={paramFacts(run, inputs)} />
      {inputs.defaults === null && <p class="note">Params that are not listed had the strategy's own defaults, which the run does not tell.</p>}
      <Facts name="Run" facts={runFacts(run, inputs)} />
      <Facts name="Data" facts={dataParts(inputs.data)} />
      <details>
        <summary>YAML</summary>
        <pre tabIndex={0}>{inputs.yaml}</pre>
      </details>
    </>
  );
}

/** Terms with their values; nothing where there are none. */
export function Facts({ name, facts }: { name: string; facts: [name: string, text: string][] }) {
  if (facts.length === 0) return null;
  return (
    <dl class="facts" aria-label={name}>
      {facts.map(([term, text]) => (
        <div key={term}>
          <dt>{term}</dt>
          <dd>{text}</dd>
        </div>
      ))}
    </dl>
  );
}

export const plain = (value: unknown): string => (typeof value === "string" ? value : JSON.stringify(value) ?? "–");

/** What the run was given, then the defaults that it took, where they are known. */
const paramFacts = (run: RunReport, { defaults }: RunInputs): [string, string][] => [
  ...Object.entries(run.params).map(([name, value]): [string, string] => [name, plain(value)]),
  ...Object.entries(defaults ?? {}).map(([name, value]): [string, string] => [name, `${plain(value)} (default)`]),
];

function runFacts(run: RunReport, inputs: RunInputs): [string, string][] {
  const facts: [string, string][] = [
    ["id", run.run_id],
    ["strategy", run.strategy],
    ["market", run.symbols.length === 0 ? "" : `${run.exchange}: ${run.symbols.join(", ")}, ${run.interval}`],
    ["started", `${time(run.started_at)} UTC`],
    ["ended", run.ended_at === null ? "–" : `${time(run.ended_at)} UTC`],
    ["version", inputs.version],
    ["path", inputs.path],
    ["seed", inputs.seed === null ? "" : String(inputs.seed)],
    ...Object.entries(inputs.images).map(([workload, image]): [string, string] => [`image of ${workload}`, image]),
  ];
  return facts.filter(([, text]) => text !== "");
}

/** The parts of a fingerprint, name=content; … by name. */
export function dataParts(fingerprint: string): [name: string, content: string][] {
  if (fingerprint === "") return [];
  return fingerprint.split(";").map((part) => {
    const at = part.lastIndexOf("=");
    return at < 0 ? ["bars", part] : [part.slice(0, at), part.slice(at + 1)];
  });
}
