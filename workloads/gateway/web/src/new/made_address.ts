// Where that is shown which was just made: a Feed's market, a Replay on the Deck, a Backtest's report.
import { marketChart } from "../markets/chart_link";
import { pathOf } from "../shell/router";
import type { Made } from "./apply";

interface FeedSpec {
  exchange?: string;
  symbols?: string[];
  intervals?: string[];
  source?: { files?: { exchange?: string; interval?: string; sets?: { symbol?: string }[] } };
}

interface ShownPlace {
  address: string;
  text: string;
}

export function placeOf({ kind, uid, spec }: Made): ShownPlace {
  if (kind === "Replay") return { address: `/?${new URLSearchParams({ replay: uid }).toString()}`, text: "Open the Deck" };
  if (kind === "Backtest") return { address: pathOf({ view: "run", id: uid }), text: "Open its report" };
  return placeOfFeed(spec);
}

/** The chart of its first market, without a replay and a run; of a Feed whose symbols are known later, the markets of its exchange. */
function placeOfFeed({ exchange, symbols, intervals, source }: FeedSpec): ShownPlace {
  const { files } = source ?? {};
  const of = files?.exchange ?? exchange ?? "";
  const symbol = files?.sets?.[0]?.symbol ?? symbols?.[0] ?? "";
  if (of === "" || symbol === "" || symbol.includes("*")) {
    return { address: `/markets${of === "" ? "" : `?${new URLSearchParams({ exchange: of }).toString()}`}`, text: "Open Markets" };
  }
  const interval = files?.interval ?? intervals?.[0] ?? null;
  return { address: `${marketChart(`${of}:${symbol}`, interval)}&replay=&run=`, text: "Open the Deck" };
}
