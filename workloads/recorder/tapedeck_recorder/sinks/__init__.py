"""Sinks: other stores that receive the same records.

Each sink has a thread and a consumer group of its own. An unreachable sink blocks neither the recorder nor the other
sinks; delivery resumes when it is reachable again.
"""
