"""The experiment files that come with al-cxr, and how a name of one finds its file."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from al_cxr.config.layers import chain
from al_cxr.core.drafts import write_atomically
from al_cxr.core.errors import UserError
from al_cxr.core.nearest import hint

FOLDERS = (Path(), Path("experiments"))
"""Where a name is looked for before the files that come with al-cxr."""


def folder() -> Path:
    """Where the experiment files that come with al-cxr are: in an installed package beside its code, in a checkout the
    folder experiments."""
    return Path(str(files("al_cxr"))) / "experiments"


def names() -> list[str]:
    """Of the experiments that come with al-cxr, sorted."""
    return sorted(path.stem for path in folder().glob("*.yaml"))


def find(experiment: str | Path) -> Path:
    """The file of an experiment.

    Parameters
    ----------
    experiment : str or Path
        A path (anything with a folder or an ending in it), which is taken as it is, or a bare name such as
        ``tb_entropy``: then ``NAME.yaml`` here, else ``experiments/NAME.yaml``, else the file that comes with al-cxr.

    Returns
    -------
    Path
        Of a file that is there; of a path that was given, that path.

    Raises
    ------
    UserError
        If no file has the name, or a path leads nowhere that ends in one.

    Examples
    --------
    >>> find("my/own.yaml").as_posix()
    'my/own.yaml'
    >>> find("tb_entropy").name
    'tb_entropy.yaml'
    """
    path = Path(experiment)
    if not path.exists() and path.suffix and path.stem in names():
        raise UserError(f"{path}: no such experiment file; {path.stem} alone names the one that comes with al-cxr")
    if path.name != str(experiment) or path.suffix or path.is_file():
        return path
    places = [here / f"{path.name}.yaml" for here in (*FOLDERS, folder())]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        looked = " nor ".join(place.as_posix() for place in places[: len(FOLDERS)])
        raise UserError(
            f"{experiment}: there is neither {looked}, and no experiment of this name comes with al-cxr"
            f"{hint(path.name, names())}"
        )
    return found


def copy(name: str, to: Path) -> list[Path]:
    """Copy an experiment that comes with al-cxr, and every file that it extends, into a folder.

    A file that is there already with the same content stays. Returns the paths that are written. UserError, and nothing
    is written, for a name that is none and where a file of another content is in the way.
    """
    if name not in names():
        raise UserError(f"{name}: no experiment of this name comes with al-cxr{hint(name, names())}")
    missing: dict[Path, bytes] = {}
    for layer in reversed(chain(folder() / f"{name}.yaml")):
        source = Path(layer.origin)
        target, content = to / source.name, source.read_bytes()
        if not target.exists() and not target.is_symlink():
            missing[target] = content
        elif not target.is_file() or target.read_bytes() != content:
            raise UserError(
                f"{target}: is there already and differs from the file that comes with al-cxr; move it away, or "
                "choose another folder with --out"
            )
    for target, content in missing.items():
        write_atomically(target, content)
    return list(missing)
