"""The rendered chart, and the queries of its dashboards."""
