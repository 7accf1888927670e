// What the charts have in sight: an address that is shared, or kept for another replay, has it.

/** The opens of the first and the last bar in sight. */
export interface Sight {
  from: number;
  to: number;
}

const charts = new Map<number, () => Sight | null>();

/** A chart says what it has in sight when it is asked, until what is returned is called. */
export function tellSight(chart: number, sight: () => Sight | null): () => void {
  charts.set(chart, sight);
  return () => void charts.delete(chart);
}

/** Null where the chart has no bars in sight. */
export const sightOf = (chart: number): Sight | null => charts.get(chart)?.() ?? null;
