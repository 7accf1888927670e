"""Services with TLS, users and ACLs."""
