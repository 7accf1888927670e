"""Who may ask for what: hosts, origins, tokens, and the rate of each client."""
