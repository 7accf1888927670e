// Make a Feed, a Replay or a Backtest: a form, the YAML that it writes, the check of `tapedeck apply`, and applying it.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { Polled } from "../data/loadable";
import { get } from "../data/request";
import { allStoredSymbols, refreshResources, symbols } from "../data/resources";
import "../run/run.css";
import { address, AddressLink, navigate } from "../shell/router";
import { useAll, useWatched } from "../shell/watched";
import { currentToken } from "../token";
import { apply, type Made, type Outcome } from "./apply";
import { given, givenRest, initialValues, type Values } from "./fields";
import { dropOf, FileImportPanel, takeFiles } from "./file_import_panel";
import { Fields } from "./form_fields";
import { FORMS, type Kind, KIND_NAMES, KINDS, manifestOf, restFor } from "./forms";
import { refusals, storeWarnings } from "./form_checks";
import { placeOf } from "./made_address";
import "./new.css";
import { Problems } from "./problem_list";
import type { ScenarioEntry } from "./scenario";
import { ScenarioForm } from "./scenario_form";
import { type KnownStrategy, withStrategies } from "./strategy_fields";
import { toYaml } from "./yaml";
import { YamlEditor } from "./yaml_editor";

const STRATEGIES_MS = 60_000;
/** So long after the last change the text is checked. */
const CHECK_MS = 500;

const strategies = new Polled(
  async () => (await get<{ strategies: KnownStrategy[] }>("/api/v1/strategies")).strategies,
  STRATEGIES_MS,
);

export function NewView() {
  const wanted = address.value.query.get("kind");
  const kind = KINDS.find((each) => each === wanted) ?? "replay";
  const [isOver, setOver] = useState(false);
  const choose = (next: Kind) => {
    if (next !== kind) navigate(`/new?kind=${next}`); // without values of another form
  };
  const drop = dropOf(setOver, (files) => {
    choose("feed");
    takeFiles(files);
  });
  return (
    <main class={`view new-view ${isOver ? "over" : ""}`} {...drop}>
      <nav aria-label="Kind of resource" class="kinds">
        {KINDS.map((each) => (
          <button
            type="button"
            key={each}
            aria-pressed={each === kind}
            onClick={() => choose(each)}
          >
            {KIND_NAMES[each]}
          </button>
        ))}
      </nav>
      {kind === "feed" && <FileImportPanel />}
      <Maker kind={kind} key={kind} />
    </main>
  );
}

/** The form of one kind. Once the YAML is edited by hand, the form no longer writes it. */
function Maker({ kind }: { kind: Kind }) {
  const known = useWatched(() => strategies, []).value ?? [];
  const [first] = useState<Values>(() => ({ ...initialValues(FORMS[kind]), ...given(FORMS[kind], address.peek().query) }));
  const [rest] = useState(() => givenRest(address.peek().query));
  const [values, setValues] = useState(first);
  const [scenario, setScenario] = useState<ScenarioEntry[]>([]);
  const [edited, setEdited] = useState<string | null>(null);
  const shownRest = restFor(rest, first, values);
  const fields = kind === "backtest" ? withStrategies(FORMS[kind], known, values, first, shownRest) : FORMS[kind];
  const written = useMemo(() => toYaml(manifestOf(kind, fields, values, scenario, shownRest)), [values, scenario, known]);
  const text = edited ?? written;
  const { outcome, isAsked, ask } = useApply(text);
  useAll(symbols);
  const isByHand = edited !== null && edited !== written;
  const refused = isByHand ? [] : refusals(fields, values);
  const warnings = isByHand ? [] : storeWarnings(fields, values, allStoredSymbols.value);
  const problems = [...refused, ...(outcome?.is === "refused" ? outcome.problems : [])];
  return (
    <div class="report new">
      <section class="panel" aria-label={`Form of a ${KIND_NAMES[kind]}`}>
        <form onSubmit={(event) => event.preventDefault()}>
          <fieldset class="fields" disabled={isByHand}>
            <legend class="visually-hidden">{KIND_NAMES[kind]}</legend>
            <Fields fields={fields} values={values} problems={problems} warnings={warnings} change={setValues} />
          </fieldset>
          {kind === "replay" && !isByHand && <ScenarioForm entries={scenario} problems={problems} change={setScenario} />}
        </form>
        {isByHand && (
          <p class="note">
            The YAML was edited by hand.{" "}
            <button type="button" onClick={() => setEdited(null)}>Write it by the form again</button>
          </p>
        )}
      </section>
      <section class="panel" aria-label="YAML">
        <YamlEditor text={text} onEdit={setEdited} />
        <div class="choices">
          <button type="button" disabled={isAsked} onClick={() => ask(true)}>Check</button>
          <button type="button" class="primary" disabled={isAsked || refused.length > 0} onClick={() => ask(false)}>Apply</button>
        </div>
        <Result outcome={refused.length > 0 ? { is: "refused", problems } : outcome} isAsked={isAsked} />
      </section>
    </div>
  );
}

interface Asking {
  outcome: Outcome | null;
  isAsked: boolean;
  ask: (dryRun: boolean) => void;
}

/**
 * Check a text soon after it has changed, where there is a token: without one each check would ask for it. What is asked before
 * that takes its place, and only the answer to what was asked last counts.
 */
function useApply(text: string): Asking {
  const [state, setState] = useState<{ text: string; outcome: Outcome } | null>(null);
  const [asked, setAsked] = useState<string | null>(null);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const count = useRef(0);
  const ask = (dryRun: boolean) => {
    clearTimeout(timer.current);
    const number = (count.current += 1);
    setAsked(text);
    void apply(text, dryRun).then((outcome) => {
      if (outcome.is === "made") void refreshResources();
      if (number !== count.current) return;
      setState({ text, outcome });
      setAsked(null);
    });
  };
  useEffect(() => {
    if (currentToken() === "") return;
    timer.current = setTimeout(() => ask(true), CHECK_MS);
    return () => clearTimeout(timer.current);
  }, [text]);
  return { outcome: state?.text === text ? state.outcome : null, isAsked: asked === text, ask };
}

function Result({ outcome, isAsked }: { outcome: Outcome | null; isAsked: boolean }) {
  return (
    <div id="outcome" role="status" data-outcome={isAsked ? "asked" : (outcome?.is ?? "none")}>
      {isAsked && <p class="note loading">Checking</p>}
      {!isAsked && outcome?.is === "fits" && <p class="fits">It can be applied.</p>}
      {!isAsked && outcome?.is === "made" && <MadeNote made={outcome.made} />}
      {!isAsked && outcome?.is === "refused" && <Problems problems={outcome.problems} />}
    </div>
  );
}

function MadeNote({ made }: { made: Made }) {
  const { kind, namespace, name } = made;
  const { address: shown, text } = placeOf(made);
  return (
    <p class="fits">
      {`${kind} ${namespace}/${name} was created. `}
      <AddressLink address={shown}>{text}</AddressLink>
    </p>
  );
}
