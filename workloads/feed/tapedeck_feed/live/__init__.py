"""A live Feed: an exchange's trades, bars and tickers on the log at arrival, with gaps recovered by REST."""
