"""Opening a bundle, or any trained model as one."""

from __future__ import annotations

import os
from pathlib import Path

from al_cxr.bundles.bundle import Bundle
from al_cxr.bundles.bundling import assemble
from al_cxr.bundles.folder import is_bundle, read_bundle
from al_cxr.core.errors import UserError


def open_bundle(path: str | os.PathLike[str]) -> Bundle:
    """Open a trained model to use it.

    Nothing of a bundle is used before all of it was checked: it holds no code, and a file that was changed is refused.

    Parameters
    ----------
    path : path
        A bundle, as `al-cxr bundle` writes it; or a fit, a seed, an arm or a baseline inside a run's folder, which
        is bundled in memory.

    Returns
    -------
    Bundle
        Its `predict` answers for images.

    Raises
    ------
    UserError
        Where there is no model, or where a file of a bundle is missing, changed or not expected.

    Examples
    --------
    >>> import al_cxr
    >>> model = al_cxr.open_bundle("my_model")  # doctest: +SKIP
    >>> model.predict("my_images/")[["path", "p_tuberculosis", "abstain"]]  # doctest: +SKIP
    """
    folder = Path(path)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; give a bundle, or what `al-cxr run` or `baseline` wrote")
    return read_bundle(folder) if is_bundle(folder) else assemble([folder])
