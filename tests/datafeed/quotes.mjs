// node quotes.mjs URL CHART SYMBOL…: a list of quotes, and a chart of minutes. It writes {"n", "v"} as JSON for each quote
// that comes, and for each bar with the name "chart"; {"error"} for what goes wrong.
const [url, chart, ...symbols] = process.argv.slice(2);
const source = await (await fetch(`${url}/datafeed.js`)).text();
const { Datafeed } = await import(`data:text/javascript,${encodeURIComponent(source)}`);
const write = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const feed = new Datafeed({ url, onError: (error) => write({ error }) });
feed.subscribeQuotes([], symbols, (quotes) => quotes.forEach(({ n, v }) => write({ n, v })), "list");
feed.resolveSymbol(chart, (symbol) => {
  feed.subscribeBars(symbol, "1", (v) => write({ n: "chart", v }), "chart", () => write({ error: "reset" }));
});
