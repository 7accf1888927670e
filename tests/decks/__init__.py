"""The embedded deck as a process or as a reconciler alone, and runs on a cluster."""
