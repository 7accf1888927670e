"""When the gateway's certificate expires, beside what OpenSSL wrote into it."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client.registry import REGISTRY

from tapedeck_gateway.server.certificate import Certificate
from tapedeck_gateway.server.certificate_expiry import expiry_of

METRIC = "tapedeck_gateway_certificate_expiry_timestamp_seconds"


def make(folder: Path, until: datetime) -> str:
    """A certificate that is valid until then, with its key, as the files of a Secret."""
    arguments = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-batch"]
    files = ["-subj", "/CN=deck", "-keyout", str(folder / "tls.key"), "-out", str(folder / "tls.crt")]
    times = ["-not_before", "20200101000000Z", "-not_after", f"{until:%Y%m%d%H%M%SZ}"]
    done = subprocess.run([*arguments, *files, *times], capture_output=True, text=True, timeout=60)
    if done.returncode:  # OpenSSL before 3.4 knows days alone
        days = str((until - datetime.now(UTC)).days)
        done = subprocess.run([*arguments, *files, "-days", days], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return (folder / "tls.crt").read_text()


def told_by_openssl(path: Path) -> float:
    done = subprocess.run(
        ["openssl", "x509", "-noout", "-enddate", "-in", str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return datetime.strptime(done.stdout.strip(), "notAfter=%b %d %H:%M:%S %Y %Z").replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize("year", [2031, 2049, 2050, 2100])  # the last ones have four digits in the certificate
def test_the_expiry_is_that_of_the_first_certificate(tmp_path: Path, year: int) -> None:
    pem = make(tmp_path, datetime(year, 3, 4, 5, 6, 7, tzinfo=UTC))
    assert expiry_of(pem) == told_by_openssl(tmp_path / "tls.crt")
    (tmp_path / "other").mkdir()
    assert expiry_of(f"text\n{pem}{make(tmp_path / 'other', datetime(2040, 1, 1, tzinfo=UTC))}") == expiry_of(pem)


def test_a_loaded_certificate_is_told_as_a_metric(tmp_path: Path) -> None:
    make(tmp_path, datetime(2041, 1, 1, tzinfo=UTC))
    Certificate(tmp_path)
    assert REGISTRY.get_sample_value(METRIC) == told_by_openssl(tmp_path / "tls.crt")


@pytest.mark.parametrize("text", ["", "-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n"])
def test_what_is_no_certificate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        expiry_of(text)
