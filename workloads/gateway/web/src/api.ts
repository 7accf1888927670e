// Requests to the gateway, each with a timeout.
import { requestHeaders } from "./token";
import type { EquityPoint, Fill, History, Replay, Resolution, Run, SymbolInfo, SymbolListing } from "./types";

const TIMEOUT_MS = 20_000;
/** The last second that the gateway accepts as a time: the end of the year 9999. */
export const MAX_SECONDS = 253_402_300_799;

/** The gateway serves nothing without a token that it knows. */
export class TokenRequired extends Error {}

async function get<T>(path: string, query: Record<string, string | number> = {}): Promise<T> {
  const parameters = new URLSearchParams(Object.entries(query).map(([name, value]) => [name, String(value)]));
  const response = await fetch(`${path}?${parameters.toString()}`, {
    headers: requestHeaders(),
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  const body: unknown = await response.json();
  if (!response.ok) {
    const hasMessage = body !== null && typeof body === "object" && "errmsg" in body;
    const message = hasMessage ? String(body.errmsg) : response.statusText;
    throw response.status === 401 ? new TokenRequired(message) : new Error(message);
  }
  return body as T;
}

const runPath = (run: string) => `/api/runs/${encodeURIComponent(run)}`;

export const resolutions = () => get<Resolution[]>("/api/resolutions");
export const replays = () => get<Replay[]>("/api/replays");
export const runs = () => get<Run[]>("/api/runs");
export const fills = (run: string, after: number) => get<Fill[]>(`${runPath(run)}/fills`, { after });
export const equity = (run: string) => get<EquityPoint[]>(`${runPath(run)}/equity`, { points: 5_000 });
export const symbolInfo = (symbol: string) => get<SymbolInfo>("/symbols", { symbol });

/** The symbols with stored bars. */
export async function storedSymbols(): Promise<SymbolListing[]> {
  const found = await get<SymbolListing[]>("/search", { query: "", limit: 1_000 });
  return found.filter((listing) => !listing.ticker.startsWith("replay/"));
}

/** The last `count` closed bars that open before `to` (seconds). */
export const history = (symbol: string, resolution: string, to: number, count: number) =>
  get<History>("/history", { symbol, resolution, to, countback: count });
