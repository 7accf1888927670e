"""What the routes of /api/v1 answer, as types: they encode the answers, and OpenAPI's components are made of them."""
