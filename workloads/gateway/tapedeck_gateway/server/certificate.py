"""The certificate for HTTPS: the files of a mounted Secret of the type kubernetes.io/tls."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

from tapedeck_common.logs import log
from tapedeck_crds.errors import InvalidInput
from tapedeck_gateway.server.certificate_expiry import EXPIRY

CHECK_SECONDS = 2.0


class Certificate:
    """TLS 1.2 or later with ``tls.crt`` and ``tls.key`` of a folder. Raises InvalidInput."""

    def __init__(self, folder: Path) -> None:
        self._files = (folder / "tls.crt", folder / "tls.key")
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            self._seen = self._load()
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            expected = "expected tls.crt and tls.key, PEM of a certificate and its key"
            raise InvalidInput(f"tls: got {folder}, {expected} ({error})") from None

    async def keep_fresh(self) -> None:
        """Use renewed files for new connections. What is wrong in them is logged, and the old ones stay."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            try:
                if self._modified() != self._seen:
                    self._seen = self._load()
                    log.info("the certificate has changed")
            except (OSError, ValueError) as error:
                log.warning("the certificate stays as it was", reason=str(error))

    def _load(self) -> list[int]:
        modified = self._modified()
        self.context.load_cert_chain(*self._files)
        EXPIRY.set(self._files[0].read_text())
        return modified

    def _modified(self) -> list[int]:
        return [path.stat().st_mtime_ns for path in self._files]
