"""Services that ask for passwords and certificates."""
