"""Sweeps: many trials of one strategy over a search space, each made exactly once whatever pod is killed."""
