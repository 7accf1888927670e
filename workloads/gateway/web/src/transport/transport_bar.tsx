// The transport bar: the buttons of the deck, the seek strip, and what its clock says.
import { refusal } from "../data/gateway_socket";
import { deck, measuredSpeed, position, replayState, resource } from "../deck/replay_state";
import { replay, starting } from "../deck/selection";
import type { Fill } from "../data/types";
import { MISSING, number } from "../format";
import { isLooping, isRepeating, pointA, pointB, setPoint, toggleLoop } from "./ab_loop";
import {
  canControl, dialog, LONG_STEP, noControls, playOrPause, setSpeed, stepBack, stepForward, toEnd, toStart, wantedSpeed,
} from "./actions";
import { controlProblem, sending } from "./controls";
import { canPlayHour } from "./hour_from";
import { Icon } from "./icons";
import { awaited, isMaking, playAgain } from "./play_again";
import { SeekStrip } from "./seek_strip";
import { undo, undoable } from "./seeks";
import { choices, measuredLabel, type Speed, speedLabel } from "./speeds";

interface TransportProps {
  fills: readonly Fill[];
  /** A time in the chosen zone. */
  format: (ts: number | null) => string;
}

export function TransportBar({ fills, format }: TransportProps) {
  const shown = replay.value;
  const none = starting.value === null ? { word: "NO REPLAY", reason: "" } : { word: "STARTING", reason: starting.value };
  const { word, reason } = shown === null ? none : deck.value;
  return (
    <section class="transport" aria-label="Transport" data-busy={sending.value > 0}>
      <SeekStrip fills={fills} format={format} />
      <div class="buttons">
        <Buttons />
        <Loop />
        <SpeedLadder />
        <GoTo />
        <button class="undo" onClick={() => void undo()} disabled={undoable.value === null || !canControl.value} title={noControls.value ?? "Undo the last seek (Ctrl Z)"}>
          <Icon name="undo" />
          <span>Undo seek</span>
        </button>
        <PlayAgain />
        <p id="deck-state" role="status" data-state={word}>
          <strong>{word}</strong>
          {reason !== "" && <span>{reason}</span>}
        </p>
      </div>
      <Ended />
      <Clock format={format} />
      <Problem />
    </section>
  );
}

/** Of what has ended the date is that of an hour to play. */
function GoTo() {
  const isOff = !canControl.value && !canPlayHour.value;
  const title = canPlayHour.value ? "Play the hour from a date at 10× (G)" : (noControls.value ?? "Go to a date (G)");
  return (
    <button onClick={() => (dialog.value = "jump")} disabled={isOff} title={title}>
      Go to
    </button>
  );
}

/** In place of controls that an ended replay does not take. */
function PlayAgain() {
  const ended = ["ENDED", "FAILED"].includes(deck.value.word) ? resource.value : null;
  if (ended === null) return null;
  return (
    <button class="primary" onClick={() => void playAgain(ended)} disabled={isMaking.value || awaited.value !== null} title="Make another Replay of the same data">
      Play again
    </button>
  );
}

/** Why the controls of a replay that is over are off, or which one is about to take its place. */
function Ended() {
  const { word } = deck.value;
  if (replay.value === null || (word !== "ENDED" && word !== "FAILED")) return null;
  return <p id="ended" role="status">{awaited.value === null ? noControls.value : `${awaited.value.name} starts`}</p>;
}

function Buttons() {
  const refusal = noControls.value;
  const off = refusal !== null;
  const plays = deck.value.word === "PLAYING" || deck.value.word === "BROKER UNREACHABLE";
  return (
    <div class="group" role="group" aria-label="Play">
      <button onClick={() => void toStart()} disabled={off} title={refusal ?? "To the start"} aria-label="To the start">
        <Icon name="start" />
      </button>
      <button onClick={(event) => void stepBack(event.shiftKey ? LONG_STEP : 1)} disabled={off} title={refusal ?? "One bar back (←)"} aria-label="One bar back">
        <Icon name="back" />
      </button>
      <button class="play" onClick={() => void playOrPause()} disabled={off} title={refusal ?? "Space"} aria-label={plays ? "Pause" : "Play"}>
        <Icon name={plays ? "pause" : "play"} />
      </button>
      <button onClick={(event) => void stepForward(event.shiftKey ? LONG_STEP : 1)} disabled={off} title={refusal ?? "One bar forward (→)"} aria-label="One bar forward">
        <Icon name="forward" />
      </button>
      <button onClick={() => void toEnd()} disabled={off} title={refusal ?? "To the end"} aria-label="To the end">
        <Icon name="end" />
      </button>
    </div>
  );
}

/** A and B are set at virtual time; with Shift they are removed. */
function Loop() {
  const refusal = noControls.value;
  const off = refusal !== null;
  const on = isLooping.value || isRepeating.value;
  const points = { a: pointA.value, b: pointB.value };
  const set = (point: "a" | "b") => (event: MouseEvent) => void setPoint(point, event.shiftKey ? null : position.value);
  const what = points.a !== null && points.b !== null ? "from A to B" : "of the whole range";
  return (
    <div class="group" role="group" aria-label="Loop">
      {(["a", "b"] as const).map((point) => (
        <button
          key={point}
          onClick={set(point)}
          disabled={off}
          aria-pressed={points[point] !== null}
          title={refusal ?? `Set ${point.toUpperCase()} at virtual time (with Shift: remove it)`}
        >
          {point.toUpperCase()}
        </button>
      ))}
      <button onClick={() => void toggleLoop()} disabled={off} aria-pressed={on} title={refusal ?? `Loop ${what} (L)`} aria-label={`Loop ${what}`}>
        <Icon name="loop" />
      </button>
    </div>
  );
}

function SpeedLadder() {
  const current = wantedSpeed.value;
  const change = ({ currentTarget }: { currentTarget: HTMLSelectElement }) => {
    const { value } = currentTarget;
    currentTarget.blur();
    void setSpeed(value === "unpaced" ? value : Number(value));
  };
  return (
    <label class="speed">
      <span>Speed</span>
      <select id="speed" onChange={change} disabled={!canControl.value || current === null} value={String(current ?? "")} title={noControls.value ?? "Slower [ faster ]"}>
        {current === null && <option value="">–</option>}
        {choices(current).map((each: Speed) => (
          <option key={each} value={String(each)}>
            {speedLabel(each)}
          </option>
        ))}
      </select>
    </label>
  );
}

function Clock({ format }: { format: (ts: number | null) => string }) {
  const state = replayState.value;
  const [wanted, measured] = [wantedSpeed.value, measuredSpeed.value];
  const figures: [name: string, text: string][] = [
    ["Virtual time", format(replay.value === null ? null : position.value)],
    ["Wanted", wanted === null ? "–" : speedLabel(wanted)],
    ["Measured", measured === null ? MISSING : measuredLabel(measured)],
    ["Lateness", state === null ? "–" : `${number(state.lateness_ms, 0)} ms`],
    ["Round", state === null ? "–" : String(state.round + 1)],
  ];
  return (
    <dl id="clock">
      {figures.map(([name, text]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd data-figure={name}>{text}</dd>
        </div>
      ))}
    </dl>
  );
}

/** Why the last control or subscription was refused, until it is read. */
function Problem() {
  const shown = controlProblem.value === null ? refusal : controlProblem;
  const problem = shown.value;
  if (problem === null) return null;
  return (
    <p id="problem" role="alert">
      <span>{problem}</span>
      <button class="quiet" onClick={() => (shown.value = null)}>
        Dismiss
      </button>
    </p>
  );
}
