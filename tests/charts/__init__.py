"""The chart, rendered, and what its dashboards ask."""
