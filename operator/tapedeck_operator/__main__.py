"""``python -m tapedeck_operator``: the operator of a cluster, configured by its environment."""

from __future__ import annotations

import asyncio
import logging
import sys

from pydantic import ValidationError

from tapedeck_common.logs import configure_logging
from tapedeck_operator.cluster.operator import run
from tapedeck_operator.cluster.settings import OperatorSettings


def main() -> int:
    try:
        settings = OperatorSettings()
    except ValidationError as error:
        print(f"tapedeck-operator: {error}", file=sys.stderr)
        return 64
    configure_logging(settings.log_level, {"workload": "operator"})
    logging.getLogger("kopf").setLevel(logging.WARNING)
    asyncio.run(run(settings))
    return 0


if __name__ == "__main__":
    sys.exit(main())
