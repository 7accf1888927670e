// The left column: Feeds, Replays and Backtests with their state, speed, progress and problems.
import type { ComponentChildren } from "preact";
import type { Loadable } from "../data/loadable";
import { backtests, feeds, played, replays, runs } from "../data/resources";
import type { PlayedReplay, Resource } from "../data/types";
import { Panel } from "../shell/panel";
import { Link } from "../shell/router";
import { doomed } from "./delete_dialog";
import { layout, uncoverChart } from "./layout";
import { keptRun } from "./put_away";
import { progressOf, problemOf, speedOf, unlisted, waitingOf } from "./resource_facts";
import { choose, NO_SIGHTS, replay, run } from "./selection";

export function Lists({ format }: { format: (ts: number | null) => string }) {
  if (!layout.value.lists) return null;
  const known = listedReplays();
  return (
    <aside class="lists" aria-label="Feeds, Replays and Backtests">
      <List title="Feeds" of={feeds.signal.value} empty="No Feed loads bars or follows a market.">
        {(each) => <Row resource={each} />}
      </List>
      <List title="Replays" of={known} empty="No Replay has been made." more={<Unlisted known={known.value ?? []} format={format} />}>
        {(each) => <Row resource={each} current={replay.value?.uid === each.metadata.uid} onOpen={() => openReplay(each.metadata)} />}
      </List>
      <List title="Backtests" of={backtests.signal.value} empty="No strategy has been run.">
        {(each) => <BacktestRow resource={each} />}
      </List>
    </aside>
  );
}

/** Where resources cannot be read, the replays that have started are listed all the same. */
function listedReplays(): Loadable<Resource[]> {
  const { value, error } = replays.signal.value;
  return value === null && error !== null && played.value !== null ? { value: [], error } : { value, error };
}

interface ListProps<T> {
  title: string;
  of: Loadable<T[]>;
  empty: string;
  more?: ComponentChildren;
  children: (each: T) => ComponentChildren;
}

function List<T extends Resource>({ title, of, empty, more, children }: ListProps<T>) {
  return (
    <Panel title={title} of={of} empty={(found) => (found.length === 0 && more === undefined ? empty : null)}>
      {(found) => (
        <ul>
          {found.map((each) => (
            <li key={each.metadata.uid}>{children(each)}</li>
          ))}
          {more}
        </ul>
      )}
    </Panel>
  );
}

interface RowProps {
  resource: Resource;
  current?: boolean;
  onOpen?: () => void;
  children?: ComponentChildren;
}

/** Name, phase, speed and progress; below them what is wrong. */
function Row({ resource, current, onOpen, children }: RowProps) {
  const { metadata, status } = resource;
  const progress = progressOf(status?.progress);
  const problem = problemOf(resource);
  const waiting = waitingOf(resource);
  const facts = [speedOf(resource), status?.progress].filter((each) => each !== undefined && each !== "").join(" · ");
  return (
    <div class="row" data-phase={status?.phase ?? "Pending"} data-current={current} data-name={metadata.name}>
      <span class="phase" title={status?.phase ?? "Pending"} />
      {onOpen === undefined ? (
        <strong>{metadata.name}</strong>
      ) : (
        <button class="quiet" onClick={onOpen} aria-current={current === true ? "true" : undefined}>
          {metadata.name}
        </button>
      )}
      <button class="quiet delete" title={`Delete ${metadata.name}`} aria-label={`Delete ${resource.kind} ${metadata.name}`} onClick={() => (doomed.value = resource)}>
        ×
      </button>
      <span class="facts">{`${status?.phase ?? "Pending"}${facts === "" ? "" : ` · ${facts}`}`}</span>
      {progress !== null && <progress max={1} value={progress} aria-label={`Progress of ${metadata.name}`} />}
      {waiting !== "" && <p class="waiting">{waiting}</p>}
      {problem !== "" && <p class="problem">{problem}</p>}
      {children}
    </div>
  );
}

function BacktestRow({ resource }: { resource: Resource }) {
  const id = resource.status?.["runId"];
  const runId = typeof id === "string" && (runs.value ?? []).some(({ run_id }) => run_id === id) ? id : null;
  if (runId === null) return <Row resource={resource} />;
  return (
    <Row resource={resource} current={run.value?.run_id === runId} onOpen={() => open({ run: runId, replay: null, symbol: null })}>
      <Link to={{ view: "run", id: runId }}>Report</Link>
    </Row>
  );
}

/** Replays that can still be shown although their resource was deleted, or cannot be read. */
function Unlisted({ known, format }: { known: readonly Resource[]; format: (ts: number | null) => string }) {
  return (
    <>
      {unlisted(played.value ?? [], known).map((each: PlayedReplay) => (
        <li key={each.uid}>
          <div class="row" data-phase={each.ended ? "Complete" : "Running"} data-current={replay.value?.uid === each.uid} data-name={each.name}>
            <span class="phase" />
            <button class="quiet" onClick={() => openReplay({ uid: each.uid })}>
              {each.name}
            </button>
            <span class="facts">{each.ended ? "ended" : format(each.position)}</span>
          </div>
        </li>
      ))}
    </>
  );
}

const openReplay = ({ uid }: { uid: string }) => open({ replay: uid, run: keptRun(uid), symbol: null });

function open(chosen: Record<string, string | null>): void {
  choose({ ...NO_SIGHTS, ...chosen });
  uncoverChart();
}
