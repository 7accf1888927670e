// Changes that come faster than the screen is drawn: one drawing a frame has all of them.
import type { BarChange } from "./bar_series";

/** What two changes are together. */
export function combined(one: BarChange, other: BarChange): BarChange {
  if (one.kind === "all" || other.kind === "all") return { kind: "all" };
  if (one.kind === "none") return other;
  if (other.kind === "none") return one;
  if (one.kind === "tail" && other.kind === "tail") return { kind: "tail", from: Math.min(one.from, other.from) };
  return one.kind === "older" && other.kind === "older" ? { kind: "older", count: one.count + other.count } : { kind: "all" };
}

export class FrameBatch {
  private pending: BarChange = { kind: "none" };
  private frame: number | null = null;

  constructor(private readonly draw: (change: BarChange) => void) {}

  add(change: BarChange): void {
    this.pending = combined(this.pending, change);
    if (this.pending.kind !== "none") this.frame ??= requestAnimationFrame(() => this.flush());
  }

  /** Whether something is not drawn yet. */
  get isWaiting(): boolean {
    return this.frame !== null;
  }

  /** Forget what is not drawn yet. */
  cancel(): void {
    if (this.frame !== null) cancelAnimationFrame(this.frame);
    this.frame = null;
    this.pending = { kind: "none" };
  }

  private flush(): void {
    const change = this.pending;
    this.frame = null;
    this.pending = { kind: "none" };
    this.draw(change);
  }
}
