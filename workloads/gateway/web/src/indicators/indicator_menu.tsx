// The indicators of a chart: what is added with its params, and what can be added. Transforms of the server come first.
import { useSignal } from "@preact/signals";
import type { ChartModel } from "../chart/chart_model";
import { symbols as listed } from "../data/resources";
import { choose, parameter, parameterName, replay } from "../deck/selection";
import { Modal } from "../shell/modal";
import { type Added, CATALOGUE, formatIndicators, formatOne, parseIndicators, valuesOf } from "./catalogue";

export function IndicatorMenu({ number, model }: { number: number; model: ChartModel }) {
  const open = useSignal(false);
  const added = parseIndicators(parameter("indicators", number));
  const set = (next: Added[]) =>
    choose({ [parameterName("indicators", number)]: next.length === 0 ? null : formatIndicators(next) });
  return (
    <>
      <button onClick={() => (open.value = true)} title="Add, change and remove indicators">
        {added.length === 0 ? "Indicators" : `Indicators (${added.length})`}
      </button>
      {open.value && (
        <Modal title="Indicators" class="indicators" onClose={() => (open.value = false)}>
          <ul>
            {added.map((each, n) => (
              <li key={`${n} ${formatOne(each)}`}>
                <Params of={each} onChange={(next) => set(added.map((other, m) => (m === n ? next : other)))} />
                <button onClick={() => set(added.filter((_, m) => m !== n))}>Remove</button>
              </li>
            ))}
          </ul>
          <h2>Add</h2>
          <div class="choices">
            {transformsOf(model.shown.value?.symbol ?? "").map((series) => (
              <button key={series} onClick={() => set([...added, { kind: "transform", series, overlay: true }])}>
                {`${series} (transform)`}
              </button>
            ))}
            {Object.entries(CATALOGUE).map(([kind, { label, params }]) => (
              <button key={kind} onClick={() => set([...added, { kind, values: valuesOf(params, []) }])}>
                {label}
              </button>
            ))}
          </div>
        </Modal>
      )}
    </>
  );
}

/** The transforms that compute results of a symbol. */
function transformsOf(symbol: string): string[] {
  if (symbol.startsWith("replay/")) return replay.value?.transforms ?? [];
  return (listed.value ?? []).flatMap(({ ticker }) => (ticker.startsWith(`${symbol}@`) ? [ticker.slice(symbol.length + 1)] : []));
}

function Params({ of, onChange }: { of: Added; onChange: (next: Added) => void }) {
  if ("series" in of)
    return (
      <label>
        {`${of.series} (transform)`}
        <input type="checkbox" checked={!of.overlay} onChange={() => onChange({ ...of, overlay: !of.overlay })} /> in a pane
      </label>
    );
  const entry = CATALOGUE[of.kind];
  if (entry === undefined) return null;
  const change = (at: number, text: string) =>
    onChange({ kind: of.kind, values: valuesOf(entry.params, of.values.map((value, n) => (n === at ? Number(text) : value))) });
  return (
    <fieldset>
      <legend>{entry.label}</legend>
      {entry.params.map(({ name, min, max, fractional }, n) => (
        <label key={name}>
          {name}
          <input
            type="number"
            min={min}
            max={max}
            step={fractional === true ? 0.1 : 1}
            value={of.values[n]}
            onChange={({ currentTarget }) => change(n, currentTarget.value)}
          />
        </label>
      ))}
    </fieldset>
  );
}
