"""The one exception a user is meant to read."""


class UserError(Exception):
    """A mistake in what the user gave: a file, a key, a row, an option.

    The message says what is wrong, where (file, key or row) and what to do. The command line prints it without a
    traceback and ends with exit code 2; everything else that goes wrong is a bug and keeps its traceback.
    """
