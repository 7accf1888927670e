// Values that are loaded while a component shows them.
import { useEffect, useMemo } from "preact/hooks";
import type { Loadable, Polled } from "../data/loadable";

/**
 * What a Polled has, which is loaded again and again while the component is there. ``make`` is called once for each
 * state of ``inputs``. The component is drawn again when the value changes.
 */
export function useWatched<T>(make: () => Polled<T>, inputs: readonly unknown[]): Loadable<T> {
  const polled = useMemo(make, inputs as unknown[]);
  useEffect(() => polled.watch(), [polled]);
  return polled.signal.value;
}

/** The same of several lists that all views share. */
export function useAll(...lists: Polled<unknown>[]): void {
  useEffect(() => {
    const ends = lists.map((list) => list.watch());
    return () => ends.forEach((end) => end());
  }, []);
}
