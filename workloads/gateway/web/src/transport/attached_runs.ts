// Runs that trade a replay: a seek ends them.
import { type BacktestSpec, FINAL_PHASES, type Resource } from "../data/types";
import { send } from "../data/request";

const NAME_MAX = 40;

export interface AttachedRun {
  backtest: Resource<BacktestSpec>;
  /** Whether the strategy begins again by itself, as a run of its own, after the seek. */
  restartsItself: boolean;
}

/** The runs of a replay that have not ended. */
export function attachedRuns(
  backtests: readonly Resource<BacktestSpec>[],
  replay: { namespace: string; name: string },
): AttachedRun[] {
  return backtests.flatMap((backtest) => {
    const reference = backtest.spec.data?.replay;
    const isOf = reference?.name === replay.name && backtest.metadata.namespace === replay.namespace;
    if (!isOf || FINAL_PHASES.includes(backtest.status?.phase ?? "")) return [];
    return [{ backtest, restartsItself: reference.onSeek === "restart" }];
  });
}

function followingSeeks(backtest: Resource<BacktestSpec>): Resource<BacktestSpec> {
  const { spec } = backtest;
  const { data } = spec;
  if (data?.replay === undefined) return backtest;
  return { ...backtest, spec: { ...spec, data: { ...data, replay: { ...data.replay, onSeek: "restart" } } } };
}

/** A name that no Backtest has: tape, tape-2, tape-3 … */
export function nextName(name: string, taken: ReadonlySet<string>): string {
  const base = name.replace(/-\d+$/, "");
  for (let n = 2; ; n += 1) {
    const ending = `-${n}`;
    const next = `${base.slice(0, NAME_MAX - ending.length)}${ending}`;
    if (!taken.has(next)) return next;
  }
}

/**
 * Run a strategy once more, as a new Backtest: what the earlier one has reached stays. A run reads a replay from its start,
 * and so has to follow the seeks that there were.
 */
export async function restart({ backtest }: AttachedRun, all: readonly Resource<BacktestSpec>[]): Promise<string> {
  const { namespace, name } = backtest.metadata;
  const taken = new Set(all.filter((each) => each.metadata.namespace === namespace).map((each) => each.metadata.name));
  const next = nextName(name, taken);
  const { apiVersion, kind, spec } = followingSeeks(backtest);
  await send("POST", `/api/v1/namespaces/${namespace}/backtests`, { apiVersion, kind, metadata: { name: next, namespace }, spec });
  return next;
}
