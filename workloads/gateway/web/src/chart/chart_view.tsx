// One chart of the grid: its toolbar, the canvas, the values under the crosshair, and what it says without bars.
import { type ReadonlySignal, useSignal, useSignalEffect } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { resolutions } from "../data/resources";
import type { Loadable } from "../data/loadable";
import type { RunFeed } from "../data/run_feed";
import { isOfMarket } from "../deck/defaults";
import {
  addressProblem, awaitedMarket, choose, noSight, parameter, replay, resolutionOf, run, runExchange, starting, symbolOf,
  symbolProblem, wantedSight,
} from "../deck/selection";
import { forgetSeen, sawBar } from "../deck/replay_state";
import { tellSight } from "../deck/sights";
import { DrawingLayer } from "../drawings/drawing_layer";
import { parseIndicators } from "../indicators/catalogue";
import type { DrawnTrade } from "../run/open_trade";
import { Unreachable } from "../shell/panel";
import { colors } from "../shell/theme";
import { canControl, shownLength } from "../transport/actions";
import { playHourFrom } from "../transport/hour_from";
import { seek } from "../transport/seeks";
import { takeBar } from "../transport/strip_data";
import { ChartModel } from "./chart_model";
import { ChartToolbar } from "./chart_toolbar";
import { Legend } from "./legend";
import { exchangeZone, parseZone, zoneName } from "./time_zone";

interface ChartViewProps {
  number: number;
  runFeed: ReadonlySignal<RunFeed | null>;
  trade: ReadonlySignal<Loadable<DrawnTrade>>;
  /** What to say where there is nothing to show. */
  empty: ComponentChildren;
}

export function ChartView({ number, runFeed, trade, empty }: ChartViewProps) {
  const place = useRef<HTMLDivElement>(null);
  const model = useSignal<ChartModel | null>(null);
  const hovered = useSignal<number | null>(null);
  const drawings = useSignal<DrawingLayer | null>(null);

  useEffect(() => {
    if (place.current === null) return;
    const made = new ChartModel(place.current, colors.peek(), "UTC", {
      onCrosshair: (ts) => (hovered.value = ts),
      onShiftClick: (ts) => {
        if (canControl.peek()) void seek(ts, { paused: false });
        else playHourFrom(ts);
      },
      onBar: (symbol, bar, closes) => {
        sawBar(symbol, bar, closes);
        if (number === 0) takeBar(symbol, bar);
      },
      onReset: forgetSeen,
    });
    model.value = made;
    drawings.value = new DrawingLayer(made);
    const endSight = tellSight(number, () => ({ sight: made.chart.sight, isFollowing: made.chart.isFollowing }));
    return () => {
      endSight();
      drawings.value?.dispose();
      made.dispose();
    };
  }, []);

  useSignalEffect(() => {
    const wanted = resolutionOf(number);
    if (model.value !== null && wanted !== null) void model.value.select(symbolOf(number), wanted, resolutions.value ?? []);
  });
  useSignalEffect(() => {
    if (number !== 0) return;
    shownLength.value = model.value?.shown.value?.length ?? null;
    return () => (shownLength.value = null);
  });
  useSignalEffect(() => model.value?.setIndicators(parseIndicators(parameter("indicators", number))));
  useSignalEffect(() => model.value?.chart.setLogarithmic(parameter("scale", number) === "log"));
  useSignalEffect(() => {
    const exchange = model.value?.shown.value?.info.timezone ?? "UTC";
    if (number === 0) exchangeZone.value = exchange;
    model.value?.recolor(colors.value, zoneName(parseZone(parameter("zone")), exchange));
    drawings.value?.recolor(colors.value);
  });
  useSignalEffect(() => {
    const [shown, feed] = [run.value, runFeed.value];
    const on = replay.value;
    const belongs = shown !== null && (on === null || shown.replay_uid === on.uid || isOfMarket(shown, on));
    if (feed === null || shown === null || !belongs) model.value?.setRun(null, false);
    else
      model.value?.setRun(
        { cash: shown.cash, exchange: shown.exchange, fills: feed.fills.value, equity: feed.equity.value },
        number === 0 && feed.equity.value.length > 0,
      );
  });
  useSignalEffect(() => model.value?.setSight(wantedSight(number)));
  useSignalEffect(() => {
    const [exchange, shown] = [runExchange.value, trade.value.value];
    model.value?.setTrade(shown === null || exchange === null ? null : { exchange, trade: shown });
  });

  return (
    <section class="chart" aria-label={`Chart ${number + 1}`}>
      {model.value !== null && <ChartToolbar number={number} model={model.value} drawings={drawings.value} />}
      <div class="canvas">
        {model.value !== null && <Legend number={number} model={model.value} hovered={hovered.value} />}
        <div
          ref={place}
          id={number === 0 ? "chart" : `chart-${number + 1}`}
          class="place"
          role="figure"
          aria-label="Candles and volume; the run's fills, and its equity below"
        />
        {model.value?.isOffTip.value === true && <ToNewest number={number} model={model.value} />}
        {model.value !== null && <Cover number={number} model={model.value} empty={empty} />}
      </div>
    </section>
  );
}

/** The address has no times any more: they would lead back. */
function ToNewest({ number, model }: { number: number; model: ChartModel }) {
  const go = () => {
    choose(noSight(number), true);
    model.showNewest();
  };
  return <button class="to-newest" onClick={go}>To the newest bar</button>;
}

function NoBars({ reason }: { reason: string }) {
  return (
    <div class="note refused" role="status">
      <strong>No bars of this symbol</strong>
      <span>{reason}</span>
    </div>
  );
}

/** What covers a chart without bars. */
function Cover({ number, model, empty }: { number: number; model: ChartModel; empty: ComponentChildren }) {
  void model.drawn.value;
  const awaited = starting.value !== null ? `${starting.value} starts` : awaitedMarket.value !== null ? `No bars of ${awaitedMarket.value} yet` : null;
  const { state, error } = { state: model.state.value, error: model.error.value };
  if (state === "unreachable") return <div class="chart-cover"><Unreachable error={error ?? ""} /></div>;
  if (state === "refused") return <div class="chart-cover"><NoBars reason={error ?? ""} /></div>;
  if (state === "loading") return <div class="chart-cover note loading">Loading</div>;
  if (state === "none")
    return (
      <div class="chart-cover" id="empty">
        {addressProblem.value !== null && <p class="stale">{addressProblem.value}</p>}
        {awaited === null ? empty : <p class="note loading" role="status">{awaited}</p>}
      </div>
    );
  if (model.bars.length === 0) return <div class="chart-cover note">No bars yet: the replay is at its start.</div>;
  const problem = error ?? symbolProblem(number);
  return problem === null ? null : <p class="chart-note stale" role="status">{problem}</p>;
}
