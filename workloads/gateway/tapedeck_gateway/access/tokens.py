"""Bearer tokens: files of one folder, such as a mounted Secret.

The file ``<name>.read`` holds a token that may read, ``<name>.control`` one that may also change things, and
``<name>.control.<namespace>`` one that may do so in that namespace alone. The name is its holder's in the audit log.
Changed files are read again while the gateway runs.
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from tapedeck_common.logs import hide_secret, log
from tapedeck_crds.errors import InvalidInput

_FILE = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9_-]{0,62})\.(?P<right>read|control(\.(?P<namespace>[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?))?)"
)
_EXPECTED = "expected <name>.read, <name>.control or <name>.control.<namespace>"
_TOKEN = re.compile(r"[A-Za-z0-9._~-]{16,512}")  # fits a header, a fragment and a WebSocket's subprotocol unescaped


@dataclass(frozen=True)
class Grant:
    """What the holder of a token may do; everyone may who holds one read.

    With a ``namespace`` the right to control ends at its resources.
    """

    name: str
    may_control: bool = False
    namespace: str = ""
    digest: bytes = field(default=b"", repr=False)

    def may_control_in(self, namespace: str) -> bool:
        """Whether the holder may change resources of a namespace."""
        return self.may_control and self.namespace in ("", namespace)


ANONYMOUS = Grant("anonymous")


class Tokens:
    """The tokens of a folder, by digest; without a folder nobody needs one. Raises InvalidInput for what is in it.

    With ``open_reading`` those who only read need none either.
    """

    def __init__(self, folder: Path | None, *, open_reading: bool = False) -> None:
        self._folder = folder
        self._open_reading = open_reading
        self._grants = {} if folder is None else _read(folder)
        if folder is not None and not self._grants:
            raise InvalidInput(f"tokens: got no file in {folder}, {_EXPECTED}")

    @property
    def required(self) -> bool:
        """Whether reading needs a token, even if the last one was removed meanwhile."""
        return self._folder is not None and not self._open_reading

    @property
    def any(self) -> bool:
        """Whether there may be tokens, one of which permits a change."""
        return self._folder is not None

    def grant_of(self, token: bytes) -> Grant | None:
        """What the holder of ``token`` may do; None for an unknown one. The time does not tell how much of it fits."""
        digest, found = sha256(token).digest(), None
        for known, grant in self._grants.items():
            if hmac.compare_digest(digest, known):
                found = grant
        return found

    def knows(self, grant: Grant) -> bool:
        """Whether a grant that was given before is still valid."""
        return self._grants.get(grant.digest) == grant or (grant == ANONYMOUS and not self.required)

    def refresh(self) -> None:
        """Read the folder again. What is wrong in it is logged, and the tokens stay as they were."""
        if self._folder is None:
            return
        try:
            grants = _read(self._folder)
        except InvalidInput as error:
            log.warning("the tokens stay as they were", reason=str(error))
            return
        if grants != self._grants:
            log.info("the tokens have changed", holders=sorted(grant.name for grant in grants.values()))
            self._grants = grants


def _read(folder: Path) -> dict[bytes, Grant]:
    try:
        # A mounted Secret also has entries that begin with two dots, for its exchange as a whole.
        files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
        texts = {path.name: path.read_text("ascii").strip() for path in files}
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"tokens: got {folder}, expected a folder of readable files ({error})") from None
    grants: dict[bytes, Grant] = {}
    for name, text in texts.items():
        hide_secret(text)
        match = _FILE.fullmatch(name)
        if match is None:
            raise InvalidInput(f"tokens: got a file {name[:80]!r}, {_EXPECTED}")
        if not _TOKEN.fullmatch(text):
            raise InvalidInput(f"tokens: {name}: expected 16 to 512 characters of A-Z a-z 0-9 . _ ~ -")
        if (digest := sha256(text.encode()).digest()) in grants:
            raise InvalidInput(f"tokens: {name}: got the token of {grants[digest].name!r}, expected one of its own")
        grants[digest] = Grant(match["name"], match["right"] != "read", match["namespace"] or "", digest)
    return grants
