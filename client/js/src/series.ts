// One series of a chart: how far its history was read, and who listens to it.
import { BarListener, NO_BAR } from "./bars";
import type { Bar } from "./library";

export class Series {
  private readonly listeners = new Set<BarListener>();
  /** The last bar of the newest history; null before it is read, and after a reset until it is read again. */
  private newest: number | null = null;
  private resets = 0;

  /** Call it when history is asked for; what it returns, when that has arrived. */
  reading(isNewest: boolean): (bars: readonly Bar[]) => void {
    const resets = this.resets;
    return (bars) => {
      // An answer to a question from before a reset is of bars that are no longer valid.
      if (resets !== this.resets || (this.newest !== null && !isNewest)) return;
      const newest = bars.at(-1)?.time ?? NO_BAR;
      this.newest = newest;
      // Updates that waited follow once the library has taken the history, also where it does so by a promise.
      setTimeout(() => {
        if (resets === this.resets) for (const listener of this.listeners) listener.historyRead(newest);
      });
    };
  }

  /** Without history, a listener hears all bars that the gateway gives. */
  listen(onTick: (bar: Bar) => void, onReset: () => void): BarListener {
    const resetSeries = () => {
      this.newest = null;
      this.resets += 1;
      onReset();
    };
    const listener = new BarListener(this.newest ?? NO_BAR, onTick, resetSeries);
    this.listeners.add(listener);
    return listener;
  }

  forget(listener: BarListener): void {
    this.listeners.delete(listener);
  }
}
