"""`tapedeck new`: commented files to start from."""
