"""Queries of panels: PromQL and SQL, and the data sources that a dashboard's variables choose."""

from __future__ import annotations

from dataclasses import dataclass

from grafana_foundation_sdk.builders import prometheus
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models.dashboard import DataSourceRef
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

POSTGRES = "grafana-postgresql-datasource"
METRICS = DataSourceRef(type_val="prometheus", uid="${datasource}")
STORE = DataSourceRef(type_val=POSTGRES, uid="${store}")

# What `{@…}` in an expression selects: the jobs and namespaces that the variables of the dashboard choose.
CHOSEN = 'job=~"$job", namespace=~"$namespace"'


# Jobs of the chart's monitors. Others have jobs of these names too, so series that every program has are also tied to a
# metric that is Tapedeck's alone.
JOBS = "feed|replay|transform|backtest|recorder|gateway|operator|store-exporter|redpanda"
OF_TAPEDECK = "and on (job, namespace, pod) tapedeck_build_info{@}"
OF_OPERATOR = "and on (job, namespace, pod) tapedeck_operator_queue_depth{@}"


def of_job(job: str) -> str:
    """Matchers of a job that ``$job`` of the dashboard does not offer, in the chosen namespaces."""
    return f'job="{job}", namespace=~"$namespace"'


def chosen(expression: str) -> str:
    """The expression with the selection of the dashboard's variables in place of each ``@``."""
    return expression.replace("{@", "{" + CHOSEN)


def promql(expression: str, legend: str = "") -> Builder[Dataquery]:
    """A range of samples; ``{@}`` selects what the variables choose."""
    return prometheus.Dataquery().expr(chosen(expression)).legend_format(legend).datasource(METRICS)


def promql_now(expression: str) -> Builder[Dataquery]:
    """A table of the latest samples, with a column for each label."""
    query = prometheus.Dataquery().expr(chosen(expression)).instant().format(PromQueryFormat.TABLE)
    return query.datasource(METRICS)


@dataclass
class SqlQuery(Builder[Dataquery], Dataquery):
    """A statement. As a time series, its text columns name the series of its number columns."""

    statement: str
    format: str = "table"
    ref_id: str = ""

    def build(self) -> Dataquery:
        """Itself: it is built as it is written."""
        return self

    def to_json(self) -> dict[str, object]:
        """As Grafana's PostgreSQL data source has it."""
        return {
            "datasource": STORE.to_json(),
            "editorMode": "code",
            "format": self.format,
            "rawQuery": True,
            "rawSql": self.statement,
            "refId": self.ref_id,
        }


def sql(statement: str) -> SqlQuery:
    """A statement whose columns are the columns of the panel."""
    return SqlQuery(" ".join(statement.split()))


def sql_series(statement: str) -> SqlQuery:
    """A statement with the columns ``time``, ``metric`` and a number: a series for each metric."""
    return SqlQuery(" ".join(statement.split()), "time_series")
