"""Markets made up from a seed."""
