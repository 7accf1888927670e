// Runs that trade a replay: a seek ends them.
import { type BacktestSpec, FINAL_PHASES, type Resource } from "../data/types";
import { send } from "../data/request";
import { namesIn, nextName } from "../names";

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

/**
 * Run a strategy once more, as a new Backtest: what the earlier one has reached stays. A run reads a replay from its start,
 * and so has to follow the seeks that there were.
 */
export async function restart({ backtest }: AttachedRun, all: readonly Resource<BacktestSpec>[]): Promise<string> {
  const { namespace, name } = backtest.metadata;
  const next = nextName(name, namesIn(namespace, all));
  const { apiVersion, kind, spec } = followingSeeks(backtest);
  await send("POST", `/api/v1/namespaces/${namespace}/backtests`, { apiVersion, kind, metadata: { name: next, namespace }, spec });
  return next;
}
