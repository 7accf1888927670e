"""Where a run's bars come from: a module a kind, each gets them and lets the session play."""
