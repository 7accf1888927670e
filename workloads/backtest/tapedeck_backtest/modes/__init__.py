"""The modes of a run in its pod, one module each: batch (a stored range), replay, paper (a live Feed) and sweep."""
