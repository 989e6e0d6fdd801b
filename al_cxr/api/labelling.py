"""A labelling project with what is made of its labels: figures, tables, bundles."""

from __future__ import annotations

from pathlib import Path

from al_cxr.bundles.folder import must_be_new, write_bundle
from al_cxr.labelling.model import bundle_of
from al_cxr.labelling.project import Project
from al_cxr.labelling.status import Status, status_of


class LabellingProject(Project):
    """A folder in which an archive of radiographs is labelled by people, with a model that asks.

    Make one with `create`, go on with `open`. Several processes may have the same project open.

    Parameters
    ----------
    folder : Path
        Where the project lies.
    settings : ProjectSettings
        Its settings, as project.yaml has them.
    journal : Journal
        Its log, and what that folds to.
    clock : function, optional
        Tells the time for the log.

    Examples
    --------
    >>> import tempfile
    >>> from al_cxr import LabellingProject
    >>> folder = tempfile.TemporaryDirectory()
    >>> project = LabellingProject.create(f"{folder.name}/p", "phantom:60", ["normal", "pneumonia"], "pneumonia")
    >>> first = project.ask(2, reader="ann")
    >>> project.tell(first[0].question, "normal", reader="ann")
    >>> project.tell(first[1].question, "unsure", reader="ann")
    >>> project.close()
    """

    def status(self) -> Status:
        """Measure where the project stands.

        Returns
        -------
        Status
            What is labelled, how good the model is on the audit, how far readers agree, whether the goal is certified
            and what it would take; ``as_json()`` gives it as plain data.
        """
        return status_of(self)

    def bundle(self, out: str | Path) -> Path:
        """Save the model of what is labelled now, with a card that says how it was tested: on the audit.

        Parameters
        ----------
        out : path
            The new folder; `al_cxr.open_bundle` opens it.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        UserError
            Where it is there already, there is no model yet, or the audit is too small to test one.
        """
        must_be_new(Path(out))
        return write_bundle(bundle_of(self), Path(out))
