"""Patients, studies and images by pseudonyms: keyed hashes of their DICOM identifiers, which do not leave memory.

HMAC-SHA256 with a secret (RFC 2104): without it nobody can try all identifiers of a hospital until one fits. The
secret is the text of AL_CXR_SECRET, else that of a file of the cache, which is made when it is first needed and which
its owner alone can read. The same secret gives the same pseudonyms, and so the same draw of splits by patient: machines
that share an experiment share it. Pseudonyms are no proof of anonymity: pixels and files stay what they are.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
from pathlib import Path

from al_cxr.core.cache import default_cache
from al_cxr.core.drafts import remedy
from al_cxr.core.errors import CannotWrite
from al_cxr.data.unknown import is_unknown

SECRET = "AL_CXR_SECRET"
"""Variable of the environment that gives the secret."""

FILE = "dicom.secret"

_BYTES = 10
"""Of the hash that are kept: of a million patients two share a pseudonym with a chance of 4e-13."""


class Pseudonyms:
    """The pseudonyms of one secret."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def patient(self, header: dict[str, str]) -> str:
        """Of (issuer, PatientID); "" where that is absent or one word for all, such as ANONYMOUS."""
        number = header.get("PatientID", "")
        if is_unknown(number):
            return ""
        return self._of("patient", header.get("IssuerOfPatientID", ""), number)

    def study(self, header: dict[str, str]) -> str:
        return self._of("study", header["StudyInstanceUID"]) if "StudyInstanceUID" in header else ""

    def image(self, header: dict[str, str]) -> str:
        return self._of("image", header["SOPInstanceUID"]) if "SOPInstanceUID" in header else ""

    def _of(self, *what: str) -> str:
        digest = hmac.new(self._secret, "\0".join(what).encode(), hashlib.sha256).digest()
        return (
            base64.b32encode(digest[:_BYTES]).decode().lower()
        )  # letters and 2 to 7: no spreadsheet makes it a number


def pseudonyms() -> Pseudonyms:
    """Those of the secret of the environment, else of the cache; CannotWrite where one is needed and cannot be kept."""
    given = os.environ.get(SECRET, "").strip()
    return Pseudonyms(given.encode() if given else _kept(default_cache() / FILE))


def _kept(path: Path) -> bytes:
    """The secret in a file, which is made where it is not there; whoever makes it first wins."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        if not path.exists():
            with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
                file.write(secrets.token_hex(32))
            try:
                os.link(draft, path)
            except FileExistsError:
                pass
            finally:
                draft.unlink()
        return path.read_bytes().strip()
    except OSError as error:
        raise CannotWrite(f"{path}: the secret for patients' pseudonyms cannot be kept: {remedy(error)}") from error
