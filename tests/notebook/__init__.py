"""What the tests of the client share: a server that speaks the agreement of /api/v1, and cells of a notebook."""
