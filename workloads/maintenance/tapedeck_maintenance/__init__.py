"""Programs that maintain an installation. Each runs once and exits."""
