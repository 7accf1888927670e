// node chart.mjs URL SYMBOL RESOLUTION: a chart without a picture. It uses the gateway's /datafeed.js as a charting
// library does, and writes a line of JSON for each thing that happens: what it shows then is in "shown".
const [url, name, resolution] = process.argv.slice(2);
const source = await (await fetch(`${url}/datafeed.js`)).text();
const { Datafeed } = await import(`data:text/javascript,${encodeURIComponent(source)}`);
const feed = new Datafeed({ url });
const called = (method, ...given) =>
  new Promise((resolve, reject) => {
    const failed = (reason) => reject(new Error(reason));
    feed[method](...given, (...results) => resolve(results), failed);
  });
const write = (event, more = {}) => process.stdout.write(`${JSON.stringify({ event, ...more })}\n`);

let shown = [];
async function load(symbol) {
  const [bars] = await called("getBars", symbol, resolution, { from: 0, to: 4_000_000_000, countBack: 5_000, firstDataRequest: true });
  if (bars.some((bar, n) => n > 0 && bar.time <= bars[n - 1].time)) throw new Error("history is out of order");
  shown = bars;
  write("history", { shown });
}

function onTick(bar) {
  const last = shown.at(-1);
  // A library throws here: a bar before its last one cannot be drawn.
  if (last !== undefined && bar.time < last.time) throw new Error(`out of order: ${bar.time}`);
  if (last?.time === bar.time) shown[shown.length - 1] = bar;
  else shown.push(bar);
  write("tick", { bar, shown });
}

const [configuration] = await called("onReady");
const [found] = await called("searchSymbols", name, "", "");
const [symbol] = await called("resolveSymbol", name);
const [seconds] = await called("getServerTime");
const [marks] = await new Promise((resolve) => feed.getMarks(symbol, 0, 4_000_000_000, (...all) => resolve(all), resolution));
write("ready", { configuration, found, symbol, seconds, marks });
await load(symbol);
feed.subscribeBars(symbol, resolution, onTick, "chart", () => {
  write("reset");
  // As a library does when it is told that its cache is no longer valid.
  load(symbol);
});
