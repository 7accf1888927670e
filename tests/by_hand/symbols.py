"""Symbols as exchanges write them, and texts that no symbol can be."""

EXCHANGES_TEXT = [
    "BTC/USD", "ada/usd", "BTC/USDT:USDT-240329-50000-C", "币安人生/USDT", "^GSPC", "ES=F", "EURUSD=X", ".BXBT",
    "$PAC/USDT", "@107/USDC", "M&M", "O'NEILL", 'A"B', "a,b=c", "<b>&amp;", "50%_OFF;--", "#1/{x}|~", "Ωμέγα",
    "🚀/USDT", "A" * 64,
]  # fmt: skip
NO_SYMBOLS = [
    "", "A B", " A", "A\n", "A\tB", "A\x00", "A\x7f", "A\x85", "A\xa0B", "A\u2028B", "A\u200b", "\ufeffA", "A\u202eB",
    "A\\B", "A[B]", "A@sma", "A@", "@", "A" * 65,
]  # fmt: skip
