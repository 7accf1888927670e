"""A live Feed: an exchange's trades, bars and tickers onto the log on arrival, with gaps recovered."""
