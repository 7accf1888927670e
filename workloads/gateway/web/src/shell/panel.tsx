// A panel: a part of a view with a state of its own. What is known stays in sight while it cannot be loaded again.
import type { ComponentChildren } from "preact";
import { isUnreachable, type Loadable } from "../data/loadable";

interface PanelProps<T> {
  title?: string;
  /** Beside the title. */
  actions?: ComponentChildren;
  class?: string;
  of: Loadable<T>;
  /** What to say where the value has nothing to show; null where it has. */
  empty?: (value: T) => ComponentChildren;
  children: (value: T) => ComponentChildren;
}

type PanelState = "loading" | "unreachable" | "empty" | "ready";

export function Panel<T>(props: PanelProps<T>) {
  const { value, error } = props.of;
  const nothing = value === null ? null : (props.empty?.(value) ?? null);
  const state: PanelState = isUnreachable(props.of) ? "unreachable" : value === null ? "loading" : nothing ? "empty" : "ready";
  return (
    <section class={`panel ${props.class ?? ""}`} data-state={state} aria-label={props.title} aria-busy={state === "loading"}>
      {props.title !== undefined && (
        <header class="panel-title">
          <h2>{props.title}</h2>
          {props.actions}
        </header>
      )}
      {state === "loading" && <p class="note loading">Loading</p>}
      {state === "unreachable" && <Unreachable error={error ?? ""} />}
      {state === "empty" && <div class="note">{nothing}</div>}
      {state === "ready" && value !== null && props.children(value)}
      {value !== null && error !== null && <p class="note stale" role="status">Not up to date: {error}</p>}
    </section>
  );
}

/** What stands where nothing could be loaded. The page tries again by itself. */
export function Unreachable({ error }: { error: string }) {
  return (
    <div class="note unreachable" role="status">
      <strong>Unreachable</strong>
      <span>{error}</span>
    </div>
  );
}
