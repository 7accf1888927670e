// What the charts have in sight: an address that is shared, or kept for another replay, has it.

/** The opens of the first and the last bar in sight. */
export interface Sight {
  from: number;
  to: number;
}

/** What a chart tells of itself. */
interface Told {
  sight: Sight | null;
  /** Whether it shows the newest bar, and goes on with those that come. */
  isFollowing: boolean;
}

const charts = new Map<number, () => Told>();

/** A chart says what it has in sight when it is asked, until what is returned is called. */
export function tellSight(chart: number, told: () => Told): () => void {
  charts.set(chart, told);
  return () => void charts.delete(chart);
}

/** Null where the chart has no bars in sight. */
export const sightOf = (chart: number): Sight | null => charts.get(chart)?.().sight ?? null;

export const isFollowing = (chart: number): boolean => charts.get(chart)?.().isFollowing ?? false;
