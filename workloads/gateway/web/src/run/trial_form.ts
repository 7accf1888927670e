// The form of a Backtest that runs one trial of a sweep: its address.
import type { Resource } from "../data/types";
import { freeNameOf, namesIn } from "../names";
import { DEFAULT_NAMESPACE } from "../new/apply";
import { REST } from "../new/fields";
import type { Json } from "../new/yaml";
import type { RunSummary, Trial } from "./types";

type Tree = { [name: string]: Json };

/** What belongs to a sweep and not to a run of one trial, and what is about a resource that has its own life. */
const LEFT_OUT = ["sweep", "suspend", "ttlSecondsAfterFinished"];

/**
 * The address of the form, with all of the sweep's spec: what the form has no field for is the rest. Null of a spec that
 * trades no store. A trial of a walk-forward has the bars of its window, any other those of the sweep.
 */
export function trialAddress(run: RunSummary, spec: Record<string, unknown>, trial: Trial, known: readonly Resource[]): string | null {
  const rest = structuredClone(spec) as Tree;
  const isWalkForward = treeOf(rest["sweep"])["walkForward"] !== undefined;
  for (const name of LEFT_OUT) delete rest[name];
  const [strategy, data, broker, sizer] = ["strategy", "data", "broker", "sizer"].map((name) => treeOf(rest[name])) as [Tree, Tree, Tree, Tree];
  const store = take(data, "store");
  const [builtin, module] = [take(strategy, "builtin"), take(strategy, "module")];
  if (store === undefined || (builtin ?? module) === undefined) return null;
  const { exchange, symbols, interval, from, to } = treeOf(store);
  const params = { ...treeOf(take(strategy, "params")), ...(trial.params as Tree) };
  if (module !== undefined) strategy["params"] = params;
  const time = (ms: number) => new Date(ms).toISOString().replace(".000", "");
  const values = {
    kind: "backtest", name: nameOf(run, trial, isWalkForward, known),
    ...(module === undefined ? { strategy: "built-in", builtin: text(builtin) } : { strategy: "module", module: text(module) }),
    ...(module === undefined && Object.fromEntries(Object.entries(params).map(([name, value]) => [`param ${name}`, text(value)]))),
    data: "store", exchange: text(exchange), symbols: Array.isArray(symbols) ? symbols.map(text).join(", ") : "", interval: text(interval),
    from: isWalkForward ? time(trial.start) : text(from), to: isWalkForward ? time(trial.end) : text(to),
    cash: text(take(broker, "cash")), commission: text(take(broker, "commissionPercent")), sizer: text(take(sizer, "percent")),
  };
  const metadata = metadataOf(run, known);
  const lacked = withoutEmpty({ metadata, spec: rest });
  const query = new URLSearchParams({ ...values, ...(lacked !== undefined && { [REST]: JSON.stringify(lacked) }) });
  return `/new?${query.toString()}`;
}

/** A free name: grid-t3, of a window grid-w1-t3. */
function nameOf(run: RunSummary, trial: Trial, isWalkForward: boolean, known: readonly Resource[]): string {
  const window = isWalkForward ? `-w${trial.window}` : "";
  return freeNameOf(run.name, `${window}-t${trial.trial}`, namesIn(run.namespace, known));
}

/** Where the sweep is, and the annotations of its Backtest, such as the folder of its modules. */
function metadataOf(run: RunSummary, known: readonly Resource[]): Tree {
  const found = known.find(({ metadata }) => metadata.uid === run.run_id)?.metadata.annotations ?? {};
  const annotations = Object.fromEntries(Object.entries(found).filter(([name]) => name.startsWith("tapedeck.dev/")));
  return { ...(run.namespace !== DEFAULT_NAMESPACE && { namespace: run.namespace }), annotations };
}

const isTree = (value: Json | undefined): value is Tree => typeof value === "object" && value !== null && !Array.isArray(value);
const treeOf = (value: Json | undefined): Tree => (isTree(value) ? value : {});

function take(tree: Tree, name: string): Json | undefined {
  const value = tree[name];
  delete tree[name];
  return value;
}

const text = (value: Json | undefined): string => (value === undefined || value === null ? "" : typeof value === "string" ? value : JSON.stringify(value));

/** Empty lists and objects are what a spec has by default; undefined where nothing is left. */
function withoutEmpty(value: Json): Json | undefined {
  if (Array.isArray(value)) return value.length === 0 ? undefined : value;
  if (!isTree(value)) return value;
  const kept = Object.entries(value).flatMap(([name, each]): [string, Json][] => {
    const left = withoutEmpty(each);
    return left === undefined ? [] : [[name, left]];
  });
  return kept.length === 0 ? undefined : Object.fromEntries(kept);
}
