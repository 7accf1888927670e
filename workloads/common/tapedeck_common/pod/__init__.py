"""What every pod does alike: settings, probes, signals, the termination message and the exit code."""
