"""The modes of a run, one module each: batch (a stored range), replay, paper (a live Feed) and sweep."""
