"""The past of an exchange: bars by REST, from the newest to the oldest."""
