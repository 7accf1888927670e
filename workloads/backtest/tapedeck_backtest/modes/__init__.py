"""One module for each kind of run: a stored range, a Replay, a Feed on paper, a sweep."""
