"""The strategy's process: it is given bars and answers with results. Nothing here knows a connection."""
