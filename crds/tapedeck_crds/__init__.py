"""The custom resources as types: the one place where a field of Feed, Replay and Backtest is defined.

The CRD YAML beside this package is generated from these types (``python -m tapedeck_crds``). ``kinds`` has all of them;
a workload imports its own alone, for it starts the sooner.
"""
