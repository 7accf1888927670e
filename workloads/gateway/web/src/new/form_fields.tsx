// The fields of a form, each with its label, a hint, and what the check says of it.
import { useId } from "preact/hooks";
import { type Problem, problemsAt } from "./apply";
import { type Field, shownFields, type Values } from "./fields";

interface FieldsProps {
  fields: readonly Field[];
  values: Values;
  problems: readonly Problem[];
  /** What does not keep it from being applied. */
  warnings?: readonly Problem[];
  change: (values: Values) => void;
}

export function Fields({ fields, values, problems, warnings = [], change }: FieldsProps) {
  return (
    <>
      {shownFields(fields, values).map((field) => (
        <OneField
          key={field.id}
          field={field}
          value={values[field.id] ?? ""}
          problems={problemsAt(problems, field.path)}
          warnings={problemsAt(warnings, field.path)}
          change={(value) => change({ ...values, [field.id]: value })}
        />
      ))}
    </>
  );
}

interface OneFieldProps {
  field: Field;
  value: string;
  problems: readonly Problem[];
  warnings: readonly Problem[];
  change: (value: string) => void;
}

function OneField({ field, value, problems, warnings, change }: OneFieldProps) {
  const id = useId();
  const [wrong, warned] = [problems, warnings].map((each) => each.map(({ message }) => message).join("; ")) as [string, string];
  const about = [field.hint === undefined ? "" : `${id}-hint`, wrong === "" ? "" : `${id}-wrong`, warned === "" ? "" : `${id}-warned`]
    .filter((each) => each !== "")
    .join(" ");
  const given = { id, "aria-describedby": about === "" ? undefined : about, "aria-invalid": wrong !== "" };
  return (
    <div class="field" data-field={field.id}>
      {field.type !== "flag" && <label for={id}>{field.label}</label>}
      {field.type === "choice" ? (
        <select {...given} value={value} onChange={({ currentTarget }) => change(currentTarget.value)}>
          {(field.options ?? []).map((each) => (
            <option key={each} value={each}>{each}</option>
          ))}
        </select>
      ) : field.type === "flag" ? (
        <label class="check">
          <input {...given} type="checkbox" checked={value === "true"} onChange={({ currentTarget }) => change(currentTarget.checked ? "true" : "")} />
          {field.label}
        </label>
      ) : (
        <input
          {...given}
          inputMode={field.type === "number" ? "decimal" : "text"}
          autocomplete="off"
          spellcheck={false}
          value={value}
          onInput={({ currentTarget }) => change(currentTarget.value)}
        />
      )}
      {field.hint !== undefined && <span class="hint" id={`${id}-hint`}>{field.hint}</span>}
      {wrong !== "" && <span class="wrong" id={`${id}-wrong`}>{wrong}</span>}
      {warned !== "" && <span class="warned" role="status" id={`${id}-warned`}>{warned}</span>}
    </div>
  );
}
