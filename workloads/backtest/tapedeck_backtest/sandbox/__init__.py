"""What keeps a strategy's code apart from the run: its ends, its limits, its output and its lines in a trace."""
