// node udf.mjs URL SYMBOL: a client of TradingView's UDF written from its public documentation, as a charting library
// has one: it asks for histories in pages backward, then polls. It writes a line of JSON for each thing that happens.
const [url, name] = process.argv.slice(2);
const POLL_MS = 300;
const PAGE = 50;
const write = (event, more = {}) => process.stdout.write(`${JSON.stringify({ event, ...more })}\n`);

async function ask(path, query = {}) {
  const answer = await fetch(`${url}${path}?${new URLSearchParams(query)}`);
  if (answer.status !== 200) throw new Error(`${path}: ${answer.status}: ${await answer.text()}`);
  return answer.json();
}

function barsOf(answer) {
  if (answer.s === "no_data") return [];
  if (answer.s !== "ok") throw new Error(answer.errmsg);
  return answer.t.map((time, n) => [time, answer.o[n], answer.h[n], answer.l[n], answer.c[n], answer.v[n]]);
}

/** All bars of a resolution, from the newest page back until there is no data. */
async function history(resolution) {
  let to = 4_000_000_000;
  let bars = [];
  for (let page = 0; page < 200; page += 1) {
    const answer = await ask("/history", { symbol: name, resolution, from: 0, to, countback: PAGE });
    const found = barsOf(answer);
    if (found.length === 0) {
      if (answer.nextTime === undefined || answer.nextTime >= to) return bars;
      to = answer.nextTime + 1;
      continue;
    }
    bars = [...found, ...bars];
    to = found[0][0];
  }
  throw new Error(`${resolution}: the history does not end`);
}

const config = await ask("/config");
const symbol = await ask("/symbols", { symbol: name });
if (symbol.s === "error") throw new Error(symbol.errmsg);
const histories = {};
for (const resolution of symbol.supported_resolutions ?? config.supported_resolutions) {
  histories[resolution] = await history(resolution);
}
const found = await ask("/search", { query: symbol.name, type: "", exchange: "", limit: 30 });
write("ready", { config, symbol, histories, found, time: Number(await (await fetch(`${url}/time`)).text()) });

// A library polls for the last bars, and for marks and quotes.
for (;;) {
  const bars = barsOf(await ask("/history", { symbol: name, resolution: "1", from: 0, to: 4_000_000_000, countback: 3 }));
  const range = { symbol: name, from: 0, to: 4_000_000_000, resolution: "1" };
  write("poll", {
    bars,
    marks: await ask("/marks", range),
    timescale: await ask("/timescale_marks", range),
    quotes: await ask("/quotes", { symbols: name }),
  });
  await new Promise((resolve) => setTimeout(resolve, POLL_MS));
}
