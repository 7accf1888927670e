// The changes of a Replay's scenario, one after the other.
import { useState } from "preact/hooks";
import type { Problem } from "./apply";
import { Fields } from "./form_fields";
import { CHANGE_KINDS, changeFields, CHANGES_MAX, newChange, type ScenarioEntry } from "./scenario";

interface ScenarioProps {
  entries: readonly ScenarioEntry[];
  problems: readonly Problem[];
  change: (entries: ScenarioEntry[]) => void;
}

export function ScenarioForm({ entries, problems, change }: ScenarioProps) {
  const [kind, setKind] = useState(CHANGE_KINDS[0] ?? "");
  return (
    <fieldset class="scenario">
      <legend>Scenario: changes to what is played</legend>
      {entries.map((entry, at) => (
        <fieldset key={at} class="fields" data-change={entry.kind}>
          <legend>{entry.kind}</legend>
          <Fields
            fields={changeFields(entry.kind, at)}
            values={entry.values}
            problems={problems}
            change={(values) => change(entries.map((each, i) => (i === at ? { ...each, values } : each)))}
          />
          <button type="button" onClick={() => change(entries.filter((_, i) => i !== at))} aria-label={`Remove ${entry.kind}`}>
            Remove
          </button>
        </fieldset>
      ))}
      <div class="choices">
        <select aria-label="Kind of change" value={kind} onChange={({ currentTarget }) => setKind(currentTarget.value)}>
          {CHANGE_KINDS.map((each) => (
            <option key={each} value={each}>{each}</option>
          ))}
        </select>
        <button type="button" disabled={entries.length >= CHANGES_MAX} onClick={() => change([...entries, newChange(kind)])}>
          Add the change
        </button>
      </div>
    </fieldset>
  );
}
