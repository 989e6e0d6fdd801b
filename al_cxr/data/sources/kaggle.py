"""Data sets of Kaggle with one folder a class, fetched only when asked to through the optional package kagglehub."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from al_cxr.core.drafts import remedy
from al_cxr.core.errors import CannotWrite, UserError
from al_cxr.data.dataset import Dataset
from al_cxr.data.sources.folder import FolderSource
from al_cxr.data.sources.source import KIND, Source, register

DEFAULT_SLUG = "muhammadrehan00/chest-xray-dataset"
"""Normal, pneumonia and tuberculosis in train/val/test."""

_SLUG = re.compile(r"[\w-]+/[\w-]+(/versions/\d+)?", re.ASCII)


@register
class KaggleSource(Source):
    """A data set of Kaggle with one folder a class, which is downloaded only where that is asked for.

    Examples
    --------
    >>> KaggleSource.from_text("owner/name@scans").describe()
    'Kaggle data set owner/name in scans'
    """

    usage = "kaggle[:OWNER/NAME][@FOLDER]"
    fetchable = True

    kind: Literal["kaggle"] = Field("kaggle", description=KIND)
    slug: str = Field(DEFAULT_SLUG, description="OWNER/NAME of the data set on Kaggle")
    path: str | None = Field(
        None,
        description="folder that it is in or fetched into; null = data/NAME, data/chest-xray for the default set",
    )
    download: bool = Field(False, description="fetch it when the folder is not there")
    attribution: str = Field("", description="who made the images and under which terms; printed in every report")

    @field_validator("slug")
    @classmethod
    def _names_a_set(cls, slug: str) -> str:
        if not _SLUG.fullmatch(slug):
            raise ValueError("must be OWNER/NAME")
        return slug

    @classmethod
    def from_text(cls, text: str) -> KaggleSource:
        slug, _, path = text.partition("@")
        given = {"slug": slug, "path": path}
        return cls.model_validate({key: value for key, value in given.items() if value})

    def exists(self) -> bool:
        return self.download or self._folder().exists()

    def read(self) -> Dataset:
        if not self._folder().exists() and self.download:
            fetch(self.slug, Path(self._folder().path))
        return self._folder().read()

    def describe(self) -> str:
        return f"Kaggle data set {self.slug} in {self._folder().path}"

    def short_name(self) -> str:
        return self._folder().short_name()

    def image_folder(self) -> Path:
        return self._folder().image_folder()

    def fetch(self, folder: Path | None) -> str:
        return str(fetch(self.slug, folder or Path(self._folder().path)))

    def _folder(self) -> FolderSource:
        usual = "data/chest-xray" if self.slug == DEFAULT_SLUG else f"data/{self.slug.split('/')[1]}"
        return FolderSource(path=self.path or usual, attribution=self.attribution)


def fetch(slug: str, destination: Path) -> Path:
    """Fetches OWNER/NAME into the new folder `destination` and returns it.

    kagglehub keeps what it fetched in its own cache. The folder is made of hard links to it, which take no space and
    survive when the cache is emptied, and of copies where the file system cannot link. It appears whole or not at all.

    Raises
    ------
    UserError
        If kagglehub is not installed, the slug is none, there is something at the destination, or the
            download fails.
    """
    if not _SLUG.fullmatch(slug):
        raise UserError(f"{slug!r} names no Kaggle data set; give OWNER/NAME, such as {DEFAULT_SLUG}")
    destination = destination.expanduser()
    if os.path.lexists(destination):
        raise UserError(f"{destination}: is there already and is not overwritten; name another folder or move it away")
    try:
        import kagglehub
    except ImportError:
        raise UserError("fetching from Kaggle needs kagglehub: pip install 'al-cxr[kaggle]'") from None
    try:
        cached = Path(kagglehub.dataset_download(slug))
    except Exception as error:  # kagglehub, requests and the unpackers share no base class but this one
        text = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"Kaggle data set {slug}: download failed ({text}); check the network, the name and your Kaggle login"
        ) from error
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=destination.parent) as draft:
            whole = Path(draft, "whole")
            shutil.copytree(cached, whole, symlinks=True, copy_function=_link_or_copy)
            os.rename(whole, destination)
    except OSError as error:
        raise CannotWrite(
            f"{destination}: cannot be written: {remedy(error)}; what was fetched stays in {cached}"
        ) from error
    return destination


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:  # another file system, or one without hard links
        shutil.copy2(source, target, follow_symlinks=False)
