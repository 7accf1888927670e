// Files of this machine: chosen or dropped, uploaded, shown as the deck recognizes them, and imported.
import { signal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import type { FileImport, InspectedFile } from "../data/api";
import { feeds } from "../data/resources";
import type { Resource } from "../data/types";
import { problemOf } from "../deck/resource_facts";
import { number, time } from "../format";
import { address, Link } from "../shell/router";
import { useAll, useWatched } from "../shell/watched";
import type { Problem } from "./apply";
import type { Values } from "./fields";
import { FileImporter, IMPORT_FIELDS, type ImportState, optionsOf, uploadLimits } from "./file_import";
import { Fields } from "./form_fields";
import { Problems } from "./problem_list";

/** So long after the last change the files are looked at again. */
const LOOK_MS = 500;
const MEGABYTE = 1_000_000;

const importer = new FileImporter();
const values = signal<Values>({});
let waiting: ReturnType<typeof setTimeout> | undefined;

export const takeFiles = (files: readonly File[]): void => void importer.take(files, optionsOf(values.peek()));

function change(next: Values): void {
  values.value = next;
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    const { is } = importer.state.peek();
    if (importer.hasUpload && is !== "sending" && is !== "importing" && is !== "made") void importer.look(optionsOf(values.peek()));
  }, LOOK_MS);
}

type DropHandlers = Record<"onDragOver" | "onDragLeave" | "onDrop", (event: DragEvent) => void>;

/** Handlers of an element that files are dropped on. Anything else that is dragged is left to the browser. */
export function dropOf(setOver: (isOver: boolean) => void, onFiles: (files: File[]) => void): DropHandlers {
  const hasFiles = (event: DragEvent) => event.dataTransfer?.types.includes("Files") ?? false;
  return {
    onDragOver: (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      setOver(true);
    },
    onDragLeave: (event) => {
      const { currentTarget, relatedTarget } = event;
      const isInside = currentTarget instanceof Node && relatedTarget instanceof Node && currentTarget.contains(relatedTarget);
      if (!isInside) setOver(false);
    },
    onDrop: (event) => {
      setOver(false);
      if (!hasFiles(event)) return;
      event.preventDefault();
      onFiles([...(event.dataTransfer?.files ?? [])]);
    },
  };
}

/** What the address says of files that are still to be chosen. */
function givenOf(query: URLSearchParams): Values | null {
  if (query.get("source") !== "files") return null;
  const fields = [["exchange", "files"], ["symbol", "symbol"], ["interval", "length"]] as const;
  return Object.fromEntries(fields.map(([id, name]) => [id, query.get(name) ?? ""]));
}

export function FileImportPanel() {
  const asked = useMemo(() => givenOf(address.peek().query), []);
  useEffect(() => {
    if (asked !== null) values.value = asked;
  }, [asked]);
  const limits = useWatched(() => uploadLimits, []).value;
  const state = importer.state.value;
  const problems = state.is === "refused" ? state.problems : [];
  return (
    <section class="panel new file-import" aria-label="Import files">
      <header class="panel-title">
        <h2>Import files</h2>
      </header>
      {limits?.accepted === false ? (
        <p class="note">{limits.reason}</p>
      ) : (
        <>
          <p class="choices">
            <input type="file" multiple aria-label="Files to import" onChange={({ currentTarget }) => takeFiles([...(currentTarget.files ?? [])])} />
            <span class="hint">or drop them on this page: CSV, JSON, Parquet, Arrow, archives of them</span>
          </p>
          {(state.is !== "none" || asked !== null) && (
            <form onSubmit={(event) => event.preventDefault()}>
              <fieldset class="fields" disabled={state.is === "importing" || state.is === "made"}>
                <legend class="visually-hidden">What the files do not say</legend>
                <Fields fields={IMPORT_FIELDS} values={values.value} problems={problems} change={change} />
              </fieldset>
            </form>
          )}
          <Progress state={state} problems={problems} />
        </>
      )}
    </section>
  );
}

function Progress({ state, problems }: { state: ImportState; problems: readonly Problem[] }) {
  return (
    <div id="file-import" role="status" data-state={state.is}>
      {state.is === "sending" && (
        <p class="choices">
          <progress max={state.size} value={state.sent} aria-label={`Upload of ${state.name}`} />
          <span>{`${state.name}: ${number(state.sent / MEGABYTE, 1)} of ${number(state.size / MEGABYTE, 1)} MB`}</span>
          <button type="button" onClick={() => void importer.drop()}>Cancel</button>
        </p>
      )}
      {state.is === "looking" && <p class="note loading">Reading the files</p>}
      {state.is === "importing" && <p class="note loading">Making the Feed</p>}
      {state.is === "refused" && <Problems problems={problems} />}
      {state.is === "looked" && <Found found={state.found} />}
      {state.is === "made" && <MadeFeeds names={state.feeds} />}
    </div>
  );
}

function Found({ found }: { found: FileImport }) {
  const { files, errors } = found;
  const cannot = errors.length > 0 ? "Correct what is wrong, or leave these files out." : files.length === 0 ? "No file holds market data." : "";
  return (
    <>
      {files.length > 0 && <FileTable files={files} />}
      <Remarks found={found} />
      <div class="choices">
        <button type="button" class="primary" disabled={cannot !== ""} onClick={() => void importer.importAll(optionsOf(values.peek()))}>
          Import
        </button>
        <button type="button" onClick={() => void importer.drop()}>Discard</button>
        {cannot !== "" && <span class="wrong">{cannot}</span>}
      </div>
    </>
  );
}

const HEADS = ["File", "Layout", "Kind", "Exchange", "Symbol", "Bars of", "Unit", "Zone"];
const NUMBER_HEADS = ["Rows", "First", "Last", "Holes"];

function FileTable({ files }: { files: readonly InspectedFile[] }) {
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="What the files hold">
      <table>
        <thead>
          <tr>
            {HEADS.map((head) => <th scope="col" key={head}>{head}</th>)}
            {NUMBER_HEADS.map((head) => <th scope="col" class="number" key={head}>{head}</th>)}
          </tr>
        </thead>
        <tbody>
          {files.map((file) => (
            <tr key={file.path}>
              <th scope="row">{file.path}</th>
              <td>{file.layout}</td>
              <td>{file.kind}</td>
              <td>{file.exchange}</td>
              <td>{file.symbol ?? `${file.symbols.length} symbols`}</td>
              <td>{file.interval ?? ""}</td>
              <td>{file.unit}</td>
              <td>{file.zone}</td>
              <td class="number">{number(file.rows, 0)}</td>
              <td class="number">{time(file.first)}</td>
              <td class="number">{time(file.last)}</td>
              <td class="number">{file.kind === "bars" ? holesOf(file) : ""}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** What is assumed, refused, skipped or in doubt, as `tapedeck import` says it. */
const holesOf = ({ holes, missing }: InspectedFile) =>
  holes === 0 ? "0" : `${number(holes, 0)} (${number(missing, 0)} bars)`;

function Remarks({ found: { files, errors, skipped, warnings } }: { found: FileImport }) {
  const lines = [
    ...errors.map(({ error }) => error),
    ...files.flatMap(({ path, refused }) => refused.map(({ line, reason, count }) => `${path}:${line}: ${reason} (${count} rows)`)),
  ];
  const remarks = [
    ...files.flatMap(({ path, assumed }) => assumed.map((each) => `assumed: ${each} (${path})`)),
    ...files.flatMap(({ path, empty }) => (empty === 0 ? [] : [`empty: ${path}: ${empty} rows without values`])),
    ...files.flatMap((each) => each.skipped.map((reason) => `skipped: ${reason}`)),
    ...skipped.map(({ reason }) => `skipped: ${reason}`),
    ...warnings.map((each) => `warning: ${each}`),
  ];
  return (
    <>
      {lines.length > 0 && <Problems problems={lines.map((message) => ({ field: "", message }))} />}
      {remarks.length > 0 && <ul class="remarks">{remarks.map((each) => <li key={each}>{each}</li>)}</ul>}
    </>
  );
}

function MadeFeeds({ names }: { names: readonly string[] }) {
  useAll(feeds);
  const known = feeds.signal.value.value ?? [];
  return (
    <ul class="made">
      {names.map((name) => <MadeFeed key={name} name={name} feed={known.find(({ metadata }) => metadata.name === name)} />)}
    </ul>
  );
}

function MadeFeed({ name, feed }: { name: string; feed: Resource | undefined }) {
  const phase = feed?.status?.phase ?? "Pending";
  const counts = ["bars", "trades"].flatMap((each) => {
    const count = feed?.status?.[each];
    return typeof count === "number" && count > 0 ? [`${number(count, 0)} ${each}`] : [];
  });
  const problem = feed === undefined ? "" : problemOf(feed);
  return (
    <li data-phase={phase}>
      {`Feed ${name}: ${[phase, ...counts].join(", ")}. `}
      {problem !== "" && <span class="wrong">{`${problem} `}</span>}
      <Link to={{ view: "markets" }}>Open Markets</Link>
    </li>
  );
}
