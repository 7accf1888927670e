// One series of a chart: how far its history was read, and who listens to it.
import { BarListener, NO_BAR } from "./bars";
import type { Bar } from "./library";

/** Between two requests to read history again that could not be read after a reset; the last one is repeated. */
export const READ_AGAIN_MS = [1_000, 2_000, 4_000, 8_000, 15_000, 30_000, 60_000] as const;

export class Series {
  /** With the library's callback of a reset. */
  private readonly listeners = new Map<BarListener, () => void>();
  /** The last bar of the newest history; null before it is read, and after a reset until it is read again. */
  private newest: number | null = null;
  private resets = 0;
  private failures = 0;
  private again: ReturnType<typeof setTimeout> | undefined;

  /** Call it when history is asked for; what it returns, when that has arrived. */
  reading(isNewest: boolean): (bars: readonly Bar[]) => void {
    const resets = this.resets;
    return (bars) => {
      // An answer to a question from before a reset is of bars that are no longer valid.
      if (resets !== this.resets || (this.newest !== null && !isNewest)) return;
      const newest = bars.at(-1)?.time ?? NO_BAR;
      this.newest = newest;
      this.stopAsking();
      // Updates that waited follow once the library has taken the history, also where it does so by a promise.
      setTimeout(() => {
        if (resets === this.resets) for (const listener of this.listeners.keys()) listener.historyRead(newest);
      });
    };
  }

  /** History could not be read. After a reset updates wait for it, and the library must be told again to read it. */
  failed(): void {
    if (this.resets === 0 || this.newest !== null || this.again !== undefined || this.listeners.size === 0) return;
    const delay = READ_AGAIN_MS[Math.min(this.failures, READ_AGAIN_MS.length - 1)];
    this.failures += 1;
    this.again = setTimeout(() => {
      this.again = undefined;
      for (const onReset of this.listeners.values()) onReset();
    }, delay);
  }

  /** Without history, a listener hears all bars that the gateway gives. */
  listen(onTick: (bar: Bar) => void, onReset: () => void): BarListener {
    const resetSeries = () => {
      this.newest = null;
      this.resets += 1;
      onReset();
    };
    const listener = new BarListener(this.newest ?? NO_BAR, onTick, resetSeries);
    this.listeners.set(listener, onReset);
    return listener;
  }

  forget(listener: BarListener): void {
    this.listeners.delete(listener);
    if (this.listeners.size === 0) this.stopAsking();
  }

  private stopAsking(): void {
    clearTimeout(this.again);
    this.again = undefined;
    this.failures = 0;
  }
}
