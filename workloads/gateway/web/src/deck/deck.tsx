// The start view: what there is at the left, charts in the middle, the run at the right, the transport bar below.
import { computed, type ReadonlySignal, useSignal, useSignalEffect } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { ChartView } from "../chart/chart_view";
import { exchangeZone, parseZone, timeIn, ZONE_LABELS, zoneName, ZONES } from "../chart/time_zone";
import { backtests, feeds, played, replays, resolutions, runs, symbols } from "../data/resources";
import { RunFeed } from "../data/run_feed";
import { isUnreachable } from "../data/loadable";
import { Unreachable } from "../shell/panel";
import { useAll } from "../shell/watched";
import { keepLooping } from "../transport/ab_loop";
import { changeGrid, dialog, searchedChart } from "../transport/actions";
import { HelpDialog } from "../transport/help_dialog";
import { JumpDialog } from "../transport/jump_dialog";
import { listenToKeys } from "../transport/keys";
import { showAwaited } from "../transport/play_again";
import { SeekDialog } from "../transport/seek_dialog";
import { followStrip } from "../transport/strip_data";
import { TransportBar } from "../transport/transport_bar";
import { DeleteDialog } from "./delete_dialog";
import { layout, toggle, uncoverChart } from "./layout";
import { Lists } from "./lists";
import { followReplay, position } from "./replay_state";
import { RunDrawer } from "./run_drawer";
import { chartCount, choose, isBorrowed, isEmbedded, parameter, rememberShown, runId } from "./selection";
import { useShownTrade } from "./shown_trade";
import { SymbolSearch } from "./symbol_search";

export function Deck() {
  useAll(played, runs, symbols, resolutions, replays, backtests, feeds);
  useEffect(() => {
    uncoverChart();
    const ends = [rememberShown(), followReplay(), followStrip(), keepLooping(), showAwaited(), listenToKeys()];
    return () => ends.forEach((end) => end());
  }, []);
  const runFeed = useRunFeed();
  const feed = runFeed.value;
  const trade = useShownTrade(runFeed);
  const zone = zoneName(parseZone(parameter("zone")), exchangeZone.value);
  const format = (ts: number | null) => timeIn(ts, zone);
  const embedded = isEmbedded.value;
  return (
    <main class="deck" onClick={leaveFocus} data-embed={embedded} data-lists={layout.value.lists} data-drawer={layout.value.drawer}>
      {!embedded && <Lists format={format} />}
      <div class="charts">
        {!embedded && <DeckTools />}
        <div class="grid" data-charts={chartCount.value}>
          {Array.from({ length: embedded ? 1 : chartCount.value }, (_, number) => (
            <ChartView key={number} number={number} runFeed={runFeed} trade={trade} empty={<Empty />} />
          ))}
        </div>
      </div>
      {!embedded && <RunDrawer feed={feed} trade={trade.value} format={format} />}
      <TransportBar fills={feed?.fills.value ?? []} format={format} />
      <SeekDialog />
      <DeleteDialog />
      {dialog.value === "jump" && <JumpDialog />}
      {dialog.value === "help" && <HelpDialog />}
      {dialog.value === "search" && <SymbolSearch chart={searchedChart.value} />}
    </main>
  );
}

/** A button that was clicked by a mouse or a finger does not keep the focus: Space plays and pauses after it, too. */
function leaveFocus({ target, detail }: MouseEvent): void {
  if (detail > 0 && target instanceof Element) target.closest<HTMLElement>("button")?.blur();
}

/** How far the results of the shown run are shown, beside the gateway's own limit: that is of the run's replay. */
const limit = computed(() => (isBorrowed.value ? (position.value ?? -Infinity) : Infinity));

/** The results of the shown run, followed while it is shown. */
function useRunFeed(): ReadonlySignal<RunFeed | null> {
  const feed = useSignal<RunFeed | null>(null);
  useSignalEffect(() => {
    const made = runId.value === null ? null : new RunFeed(runId.value, limit);
    feed.value = made;
    return () => made?.close();
  });
  return feed;
}

/** What is set for all charts together. */
function DeckTools() {
  const zone = parseZone(parameter("zone"));
  return (
    <div class="toolbar deck-tools" role="toolbar" aria-label="Deck">
      <button onClick={() => toggle("lists")} aria-pressed={layout.value.lists} title="Feeds, Replays and Backtests">
        Lists
      </button>
      <button onClick={changeGrid} title="One chart, two, or four, on one clock">{`Charts: ${chartCount.value}`}</button>
      <label>
        <span class="visually-hidden">Times in</span>
        <select value={zone} onChange={({ currentTarget }) => choose({ zone: currentTarget.value === "utc" ? null : currentTarget.value })}>
          {ZONES.map((each) => (
            <option key={each} value={each}>
              {ZONE_LABELS[each]}
            </option>
          ))}
        </select>
      </label>
      <button onClick={() => toggle("drawer")} aria-pressed={layout.value.drawer} title="The run's figures">
        Run
      </button>
      <button onClick={() => (dialog.value = "help")} title="Keys (?)" aria-label="Keys">
        ?
      </button>
    </div>
  );
}

/** What a deck without anything says. */
function Empty() {
  const needed = [played.signal.value, symbols.signal.value, resolutions.signal.value];
  const problem = needed.find(isUnreachable);
  if (problem !== undefined) return <Unreachable error={problem.error ?? ""} />;
  if (needed.some(({ value }) => value === null)) return <p class="note loading">Loading</p>;
  const commands = ["feed", "replay", "backtest"].map((kind) => `tapedeck apply -f examples/${kind}.yaml`);
  return (
    <div class="note">
      <h2>No data yet</h2>
      <p>Load bars, replay them, and run a strategy on the replay:</p>
      <pre>{commands.join("\n")}</pre>
      <p>This page updates by itself.</p>
    </div>
  );
}
