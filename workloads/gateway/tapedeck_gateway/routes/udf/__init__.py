"""TradingView's UDF protocol: configuration, symbols, search, history, quotes and marks. Times are seconds UTC.

The protocol: https://www.tradingview.com/charting-library-docs/latest/connecting_data/UDF/
"""

from tapedeck_gateway.routes.udf import bars, chart_marks, configuration, quotes, symbols

MODULES = (configuration, symbols, bars, quotes, chart_marks)
