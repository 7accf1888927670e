"""What pods of tests may connect to: servers on the loopback, too."""

from __future__ import annotations

from tapedeck_common.addresses import EndpointPolicy

LOOPBACK = EndpointPolicy(allow=("127.0.0.0/8",))
