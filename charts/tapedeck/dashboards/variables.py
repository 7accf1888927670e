"""Variables of dashboards, by the dashboard linter's rules: `datasource`, `job` and `namespace` in each with PromQL."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import VariableModel, VariableOption, VariableRefresh, VariableSort

from dashboards.queries import METRICS, POSTGRES, STORE, chosen

Variable = Builder[VariableModel]

_ALL = VariableOption(selected=True, text="All", value="$__all")


def metrics_variables(metric: str) -> list[Variable]:
    """Data source, job and namespace of the series of a metric."""
    return [
        _source("datasource", "Data source", "prometheus", "@prometheus@"),
        _labels("job", f"label_values({metric}, job)"),
        _labels("namespace", f'label_values({metric}{{job=~"$job"}}, namespace)'),
    ]


def store_variable() -> Variable:
    """The data source of the store."""
    return _source("store", "Store", POSTGRES, "@store@")


def name_variable(metric: str) -> Variable:
    """Names of resources with a metric, several at a time."""
    return _labels("name", f"label_values({chosen(metric + '{@}')}, name)")


def rows_variable(name: str, label: str, statement: str, *, multi: bool = False, all_of_them: bool = False) -> Variable:
    """Values of the first column of a statement, or of its columns ``__value`` and ``__text``.

    ``all_of_them``: all are chosen at first.
    """
    made = dashboard.QueryVariable(name).label(label).datasource(STORE).query(" ".join(statement.split()))
    made = made.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED).sort(VariableSort.DISABLED).multi(multi)
    return made.include_all(True).current(_ALL) if all_of_them else made


def choice_variable(name: str, label: str, values: tuple[str, ...], current: str) -> Variable:
    """One of constant values."""
    chosen_value = VariableOption(selected=True, text=current, value=current)
    return dashboard.CustomVariable(name).label(label).values(",".join(values)).current(chosen_value)


def _source(name: str, label: str, plugin: str, current: str) -> Variable:
    option = VariableOption(selected=True, text=current, value=current)
    return dashboard.DatasourceVariable(name).label(label).type(plugin).current(option)


def _labels(name: str, query: str) -> Variable:
    made = dashboard.QueryVariable(name).label(name).datasource(METRICS).query(query).current(_ALL)
    made = made.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED).sort(VariableSort.ALPHABETICAL_ASC)
    return made.multi(True).include_all(True).all_value(".+")
