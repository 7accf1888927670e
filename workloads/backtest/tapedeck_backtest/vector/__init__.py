"""The strategies that Tapedeck brings, over whole arrays: the same trades as bar by bar, to the last bit.

What it can't do is left to the engine: several symbols, intervals, warm-up, fills at the close, a strategy of yours.
"""
