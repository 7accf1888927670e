// The tools that draw on a chart.
import type { DrawingLayer } from "./drawing_layer";
import { KINDS, type Kind } from "./drawings";

const LABELS: Readonly<Record<Kind, { sign: string; what: string }>> = {
  line: { sign: "╱", what: "Trend line: click its ends" },
  level: { sign: "─", what: "Level: click a price" },
  measure: { sign: "⇕", what: "Measure: click two corners" },
};

export function DrawingTools({ layer }: { layer: DrawingLayer }) {
  const count = layer.drawings.value.length;
  return (
    <div class="group drawing" role="group" aria-label="Drawings">
      {KINDS.map((kind) => (
        <button
          key={kind}
          aria-pressed={layer.tool.value === kind}
          title={LABELS[kind].what}
          aria-label={LABELS[kind].what}
          onClick={() => layer.choose(kind)}
        >
          {LABELS[kind].sign}
        </button>
      ))}
      <button
        disabled={count === 0}
        title="Remove the last drawing (with Shift: all)"
        aria-label="Remove the last drawing"
        onClick={(event) => (event.shiftKey ? layer.removeAll() : layer.removeLast())}
      >
        ×
      </button>
    </div>
  );
}
