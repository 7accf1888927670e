// The seek strip: the whole range, what of it has been played, and handles to drag.
import { useComputed, useSignal } from "@preact/signals";
import { useMemo, useRef } from "preact/hooks";
import { position } from "../deck/replay_state";
import { replay } from "../deck/selection";
import type { Fill, PlayedReplay } from "../data/types";
import { pointA, pointB, setPoint } from "./ab_loop";
import { canControl, LONG_STEP, noControls, stepBack, stepForward, stepLength, toEnd, toStart } from "./actions";
import { holeAt, holeText } from "./hole_text";
import { canPlayHour, playHourFrom } from "./hour_from";
import { seek } from "./seeks";
import { furthest, type Hole, holes, prices } from "./strip_data";
import { movedBy } from "./steps";
import { boxesOf, pathOf, shareOf, TICK, ticksOf, timeAt } from "./strip_geometry";

const WIDTH = 1_000;
const HEIGHT = 40;

type Handle = "position" | "a" | "b";

/** What a key does with the handle that has the focus: so many bars, or to an end of the range; null for another key. */
function moveOf({ key, shiftKey, altKey, ctrlKey, metaKey }: KeyboardEvent): number | null {
  if (altKey || ctrlKey || metaKey) return null;
  const bars = shiftKey ? LONG_STEP : 1;
  if (key === "ArrowRight" || key === "ArrowUp") return bars;
  if (key === "ArrowLeft" || key === "ArrowDown") return -bars;
  if (key === "PageUp" || key === "PageDown") return key === "PageUp" ? LONG_STEP : -LONG_STEP;
  return key === "Home" ? -Infinity : key === "End" ? Infinity : null;
}

function movePosition(bars: number): Promise<void> {
  if (!Number.isFinite(bars)) return bars < 0 ? toStart() : toEnd();
  return bars < 0 ? stepBack(-bars) : stepForward(bars);
}

interface SeekStripProps {
  fills: readonly Fill[];
  format: (ts: number | null) => string;
}

export function SeekStrip(props: SeekStripProps) {
  const shown = replay.value;
  return shown === null ? <div class="strip" data-empty="true" /> : <Strip key={shown.uid} {...props} shown={shown} />;
}

function Strip({ fills, format, shown }: SeekStripProps & { shown: PlayedReplay }) {
  const element = useRef<HTMLDivElement>(null);
  const pointed = useSignal<Hole | undefined>(undefined);
  const dragged = useSignal<{ handle: Handle; ts: number } | null>(null);
  const range = { from: shown.range_from, to: shown.range_to };
  const x = (ts: number) => shareOf(ts, range) * WIDTH;
  const at = dragged.value?.handle === "position" ? dragged.value.ts : (position.value ?? range.from);
  // One path each: the strip is drawn with every bar, and a run may have thousands of fills.
  const path = useComputed(() => pathOf(prices.value, range, furthest.value ?? range.from, WIDTH, HEIGHT));
  const gaps = useComputed(() => boxesOf(holes.value, range, WIDTH, HEIGHT));
  const [buys, sells] = useMemo(() => {
    const of = (side: string, y: number) => ticksOf(fills.filter((each) => each.side === side), range, WIDTH, y);
    return [of("buy", HEIGHT - TICK), of("sell", 0)];
  }, [fills]);

  const timeOf = ({ clientX }: MouseEvent) => {
    const { left, width } = element.current?.getBoundingClientRect() ?? { left: 0, width: 1 };
    return timeAt((clientX - left) / width, range);
  };
  const grab = (handle: Handle) => (event: PointerEvent) => {
    if (!canControl.value || event.button !== 0) return;
    event.preventDefault();
    event.stopPropagation();
    element.current?.setPointerCapture(event.pointerId);
    dragged.value = { handle, ts: timeOf(event) };
  };
  const drag = (event: PointerEvent) => {
    pointed.value = holeAt(holes.value, timeOf(event), (range.to - range.from) / WIDTH);
    if (dragged.value !== null) dragged.value = { ...dragged.value, ts: timeOf(event) };
  };
  const drop = () => {
    const dropped = dragged.value;
    dragged.value = null;
    if (dropped?.handle === "position") void seek(dropped.ts);
    else if (dropped !== null) void setPoint(dropped.handle, dropped.ts);
  };
  const hint = canPlayHour.value ? "Ended: a click plays the hour from there at 10×" : (noControls.value ?? undefined);
  const cancel = () => (dragged.value = null);
  const press = (handle: Handle) => (event: KeyboardEvent) => {
    const bars = moveOf(event);
    const ts = { position: null, a: pointA.value, b: pointB.value }[handle];
    if (bars === null || !canControl.value) return;
    event.preventDefault(); // the keys of the Deck leave it alone then
    if (handle === "position") void movePosition(bars);
    else if (ts !== null) void setPoint(handle, movedBy(ts, bars, stepLength(), range));
  };

  return (
    <div
      ref={element}
      class="strip"
      data-furthest={furthest.value ?? ""}
      title={pointed.value === undefined ? hint : holeText(pointed.value, format)}
      onClick={(event) => playHourFrom(timeOf(event))}
      onPointerDown={grab("position")}
      onPointerMove={drag}
      onPointerUp={drop}
      onPointerCancel={cancel}
    >
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
        <defs>
          <pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
            <rect width="2" height="6" class="hatch" />
          </pattern>
        </defs>
        <rect class="played" width={x(at)} height={HEIGHT} />
        <path class="hole" fill="url(#hatch)" d={gaps.value} />
        <path class="price" d={path.value} />
        <path class="buy" d={buys} />
        <path class="sell" d={sells} />
      </svg>
      <Section range={range} x={(ts) => `${shareOf(ts, range) * 100}%`} dragged={dragged.value} grab={grab} press={press} format={format} />
      <div
        class="handle position"
        role="slider"
        tabIndex={0}
        aria-label="Position"
        aria-valuemin={range.from}
        aria-valuemax={range.to}
        aria-valuenow={at}
        aria-valuetext={format(at)}
        style={{ left: `${shareOf(at, range) * 100}%` }}
        onPointerDown={grab("position")}
        onKeyDown={press("position")}
      >
        {dragged.value !== null && <output>{format(dragged.value.ts)}</output>}
      </div>
    </div>
  );
}

interface SectionProps {
  range: { from: number; to: number };
  x: (ts: number) => string;
  dragged: { handle: Handle; ts: number } | null;
  grab: (handle: Handle) => (event: PointerEvent) => void;
  press: (handle: Handle) => (event: KeyboardEvent) => void;
  format: (ts: number | null) => string;
}

/** The handles A and B, where they are set. */
function Section({ range, x, dragged, grab, press, format }: SectionProps) {
  const points = { a: pointA.value, b: pointB.value };
  return (
    <>
      {(["a", "b"] as const).map((name) => {
        const ts = dragged?.handle === name ? dragged.ts : points[name];
        if (ts === null || ts < range.from || ts > range.to) return null;
        return (
          <div
            key={name}
            class={`handle point ${name}`}
            role="slider"
            tabIndex={0}
            aria-label={`Point ${name.toUpperCase()} of the loop`}
            aria-valuemin={range.from}
            aria-valuemax={range.to}
            aria-valuenow={ts}
            aria-valuetext={format(ts)}
            style={{ left: x(ts) }}
            onPointerDown={grab(name)}
            onKeyDown={press(name)}
          >
            {name.toUpperCase()}
          </div>
        );
      })}
    </>
  );
}
