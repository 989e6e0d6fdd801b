"""The images of an exported medium, as its DICOMDIR lists them."""

from __future__ import annotations

from pathlib import Path

from al_cxr.core.errors import UserError
from al_cxr.data.dicom import reader
from al_cxr.data.dicom.said import PREFIX
from al_cxr.data.sources.files import Root


def images_of(directory: Path, root: Root) -> tuple[list[str], list[tuple[str, str]]]:
    """Names of the images that a DICOMDIR lists and that are there, each once, in its order; (name, reason) of others.

    Media are often mounted with names in lower case; a name that is not there as it is listed is looked for so.
    UserError that names the DICOMDIR where it is none.
    """
    try:
        listed = reader.directory(directory)
    except UserError as error:
        raise UserError(f"{directory}: {error}") from None
    found: dict[str, None] = {}
    others: list[tuple[str, str]] = []
    for text in dict.fromkeys(listed):
        try:
            name = root.tidy(text)
            found[name if _is_there(root, name) else _lower(root, name)] = None
        except FileNotFoundError:
            others.append((text, f"{PREFIX}listed in the DICOMDIR, and not there"))
        except UserError as error:
            others.append((text, f"{PREFIX}{str(error).removeprefix(f'{text}: ')}"))
    return list(found), others


def _is_there(root: Root, name: str) -> bool:
    try:
        root.stat(name)
    except FileNotFoundError:
        return False
    return True


def _lower(root: Root, name: str) -> str:
    root.stat(name.lower())
    return name.lower()
