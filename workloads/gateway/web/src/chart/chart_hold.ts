// Whether somebody holds a chart: the library counts a drag, a pinch, and the swing after it, from the last bar that there was
// when they began.

/** After a finger has left the chart, which swings on. */
const SWING_MS = 2_000;

export class ChartHold {
  isHeld = false;
  private release: ReturnType<typeof setTimeout> | undefined;
  private readonly end = new AbortController();

  /** ``onRelease``: what waited for the end of a hold can be done. */
  constructor(
    element: HTMLElement,
    private readonly onRelease: () => void,
  ) {
    const { signal } = this.end;
    const options = { signal, capture: true, passive: true };
    element.addEventListener("mousedown", ({ button }) => button === 0 && this.hold(), options);
    element.addEventListener("touchstart", () => this.hold(), options);
    window.addEventListener("mouseup", () => this.let(0), options);
    for (const type of ["touchend", "touchcancel"] as const)
      element.addEventListener(type, ({ touches }) => touches.length === 0 && this.let(SWING_MS), options);
  }

  dispose(): void {
    clearTimeout(this.release);
    this.end.abort();
  }

  private hold(): void {
    clearTimeout(this.release);
    this.isHeld = true;
  }

  private let(afterMs: number): void {
    if (!this.isHeld) return;
    clearTimeout(this.release);
    this.release = setTimeout(() => {
      this.isHeld = false;
      this.onRelease();
    }, afterMs);
  }
}
