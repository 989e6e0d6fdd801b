"""The one exception a user is meant to read."""


class UserError(Exception):
    """A mistake in what the user gave: a file, a key, a row, an option.

    The message says what is wrong, where (file, key or row) and what to do. The command line prints it without a
    traceback and ends with exit code 2; everything else that goes wrong is a bug and keeps its traceback.

    Examples
    --------
    >>> import al_cxr
    >>> try:
    ...     al_cxr.open_bundle("no/such/model")
    ... except al_cxr.UserError as error:
    ...     print(error)
    no/such/model: no such folder; give a bundle, or what `al-cxr run` or `baseline` wrote
    """


class CannotWrite(UserError):
    """A file cannot be written: no room, not allowed, a limit. The message names the file and what to do."""


class Unavailable(UserError):
    """A model that nothing is wrong with but that lacks something here: weights or a package.

    The message says what to fetch and where to put it. A table of many models goes on without it.
    """
