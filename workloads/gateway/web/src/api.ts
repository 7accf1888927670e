// Questions to the gateway, each with a time limit.
import type { EquityPoint, Fill, History, Listed, Replay, Run, SymbolInfo } from "./types";

const LIMIT_MS = 20_000;
export const END_OF_TIME = 253_402_300_799;

async function get<T>(path: string, query: Record<string, string | number> = {}): Promise<T> {
  const asked = new URLSearchParams(Object.entries(query).map(([name, value]) => [name, String(value)]));
  const answer = await fetch(`${path}?${asked}`, { signal: AbortSignal.timeout(LIMIT_MS) });
  const body: unknown = await answer.json();
  if (!answer.ok) {
    const told = body !== null && typeof body === "object" && "errmsg" in body ? String(body.errmsg) : answer.statusText;
    throw new Error(told);
  }
  return body as T;
}

export const replays = () => get<Replay[]>("/api/replays");
export const runs = () => get<Run[]>("/api/runs");
export const fills = (run: string, after: number) => get<Fill[]>(`/api/runs/${encodeURIComponent(run)}/fills`, { after });
export const equity = (run: string) => get<EquityPoint[]>(`/api/runs/${encodeURIComponent(run)}/equity`, { points: 5_000 });
export const symbolInfo = (symbol: string) => get<SymbolInfo>("/symbols", { symbol });

export async function storeSymbols(): Promise<Listed[]> {
  const found = await get<Listed[]>("/search", { query: "", limit: 1_000 });
  return found.filter((listed) => !listed.ticker.startsWith("replay/"));
}

/** The last `count` closed bars that open before `to` (seconds). */
export const history = (symbol: string, resolution: string, to: number, count: number) =>
  get<History>("/history", { symbol, resolution, to, countback: count });
