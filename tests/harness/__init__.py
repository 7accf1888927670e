"""How the tests run: pytest plugins, loaded by the root conftest."""
