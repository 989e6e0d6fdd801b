"""Patients, studies and images by pseudonyms: keyed hashes of their DICOM identifiers, which do not leave memory.

HMAC-SHA256 with a secret (RFC 2104): without it nobody can try all identifiers of a hospital until one fits. The
secret is the text of AL_CXR_SECRET, else that of a file of the cache, which is made when it is first needed and which
its owner alone can read. A text too short to be one is refused: with an empty one the hash would be a plain one. The
same secret gives the same pseudonyms, and so the same draw of splits by patient: machines that share an experiment
share it. Pseudonyms are no proof of anonymity: pixels and files stay what they are.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import os
import secrets
from pathlib import Path

from al_cxr.core.cache import default_cache
from al_cxr.core.drafts import remedy
from al_cxr.core.errors import CannotWrite, UserError
from al_cxr.data.unknown import is_unknown

SECRET = "AL_CXR_SECRET"
"""Variable of the environment that gives the secret."""

FILE = "dicom.secret"

SHORTEST = 16
"""Characters of a secret."""

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
        return self.of("patient", header.get("IssuerOfPatientID", ""), number)

    def study(self, header: dict[str, str]) -> str:
        return self.of("study", header["StudyInstanceUID"]) if "StudyInstanceUID" in header else ""

    def image(self, header: dict[str, str]) -> str:
        return self.of("image", header["SOPInstanceUID"]) if "SOPInstanceUID" in header else ""

    def of(self, *what: str) -> str:
        """The pseudonym of a thing of a kind: of(kind, ...)."""
        digest = hmac.new(self._secret, "\0".join(what).encode(), hashlib.sha256).digest()
        # Letters and 2 to 7: no spreadsheet makes it a number.
        return base64.b32encode(digest[:_BYTES]).decode().lower()


def pseudonyms() -> Pseudonyms:
    """Those of the secret of the environment, else of the cache.

    CannotWrite where one is needed and cannot be kept; UserError where there is one and it is too short.
    """
    if given := os.environ.get(SECRET, "").strip():
        if len(given) < SHORTEST:
            raise UserError(f"{SECRET}: shorter than {SHORTEST} characters, so it can be guessed; give a longer one")
        return Pseudonyms(given.encode())
    path = default_cache() / FILE
    try:
        kept = _kept(path)
    except OSError as error:
        raise CannotWrite(
            f"{path}: the secret for patients' pseudonyms cannot be kept: {remedy(error)}; or give it as {SECRET}"
        ) from error
    if len(kept) < SHORTEST:
        raise UserError(
            f"{path}: holds no secret of {SHORTEST} characters or more; restore it from a copy (or delete it: then all "
            "patients get other pseudonyms, and splits are drawn anew)"
        )
    return Pseudonyms(kept)


def _kept(path: Path) -> bytes:
    """The secret in a file, which is made where it is not there."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        try:
            with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
                file.write(secrets.token_hex(32))
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):  # another process was first, and a link shows only whole files
                os.link(draft, path)
        finally:
            draft.unlink(missing_ok=True)
    return path.read_bytes().strip()
