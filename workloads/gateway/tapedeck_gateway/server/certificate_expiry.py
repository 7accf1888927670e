"""When a certificate expires: the end of its validity (RFC 5280, 4.1.2.5), read from its DER, and told as a metric."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import REGISTRY, Collector

_SEQUENCE, _UTC_TIME, _GENERALIZED_TIME, _VERSION = 0x30, 0x17, 0x18, 0xA0
_BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


class CertificateExpiry(Collector):
    """The metric: without a sample until a certificate is in use."""

    def __init__(self) -> None:
        self._at: float | None = None

    def set(self, pem: str) -> None:
        """Tell of the first certificate of a file. Raises ValueError."""
        self._at = expiry_of(pem)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The gauge."""
        yield GaugeMetricFamily(
            "tapedeck_gateway_certificate_expiry_timestamp_seconds",
            "When the certificate of the gateway's HTTPS expires.",
            value=self._at,
        )


EXPIRY = CertificateExpiry()
REGISTRY.register(EXPIRY)


def expiry_of(pem: str) -> float:
    """The end of the validity of the first certificate, in seconds since 1970. Raises ValueError."""
    block = _BLOCK.search(pem)
    if block is None:
        raise ValueError("got no certificate, expected a PEM with one")
    certificate = ssl.PEM_cert_to_DER_cert(block[0])
    try:
        (_, signed), *_ = _fields(_only(certificate))
        fields = [(tag, content) for tag, content in _fields(signed) if tag != _VERSION]
        validity = fields[3][1]  # after the serial number, the algorithm and the issuer
        tag, text = list(_fields(validity))[1]
    except (IndexError, ValueError):
        raise ValueError("got a malformed certificate, expected X.509") from None
    form = {_UTC_TIME: "%y%m%d%H%M%SZ", _GENERALIZED_TIME: "%Y%m%d%H%M%SZ"}[tag]
    end = datetime.strptime(text.decode("ascii"), form).replace(tzinfo=UTC)
    # Two digits are of 1950 to 2049; Python's are of 1969 to 2068.
    return (end.replace(year=end.year - 100) if tag == _UTC_TIME and end.year >= 2050 else end).timestamp()


def _only(data: bytes) -> bytes:
    """The content of the one sequence."""
    ((tag, content),) = _fields(data)
    if tag != _SEQUENCE:
        raise ValueError(tag)
    return content


def _fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of each value. Raises IndexError or ValueError where the data ends within one."""
    at = 0
    while at < len(data):
        tag, length = data[at], data[at + 1]
        at += 2
        if length & 0x80:
            count = length & 0x7F
            length = int.from_bytes(data[at : at + count], "big")
            at += count
        if at + length > len(data):
            raise ValueError(length)
        yield tag, data[at : at + length]
        at += length
