"""The Grafana dashboards as code: ``python -m dashboards`` in charts/tapedeck writes their JSON, for the chart."""
