"""The API /api/v1: a module for each subject."""

from tapedeck_gateway.routes.v1 import (
    analytics,
    catalogue,
    docs,
    market,
    quality,
    report_file,
    run_inputs,
    run_market,
    runs,
    sql,
    sweeps,
)

MODULES = (catalogue, market, quality, runs, run_inputs, run_market, report_file, sweeps, analytics, sql, docs)
