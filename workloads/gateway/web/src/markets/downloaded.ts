// The exchanges whose history a Feed can download: those of ccxt.pro, and cryptocompare. Data of any other came from files.
const IDS = `
  alpaca apex aster backpack bequant binance binancecoinm binanceus binanceusdm bingx bitfinex bitget bithumb bitopro bitrue bitstamp
  bittrade bitvavo blockchaincom blofin bullish bybit bybiteu bybitid bydfi cex coinbase coinbaseexchange coinbaseinternational coincheck
  coinone cryptocom cryptocompare deepcoin deribit derive dydx extended gate gateeu gemini grvt hashkey hitbtc hollaex htx hyperliquid
  independentreserve kraken krakenfutures kucoin kucoinfutures lbank lighter luno mexc modetrade mudrex myokx nado ndax okx okxus
  onetrading p2b pacifica paradex phemex poloniex polymarket toobit upbit weex whitebit woo woofipro xt
`;

const DOWNLOADED: ReadonlySet<string> = new Set(IDS.trim().split(/\s+/));

export const isDownloaded = (exchange: string): boolean => DOWNLOADED.has(exchange);
