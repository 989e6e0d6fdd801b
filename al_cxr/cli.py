"""The command line: parse, call, print. No logic."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence

from al_cxr.commands.parser import parser
from al_cxr.errors import UserError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code: 0 done, 2 a mistake in what was given, 130 stopped by Ctrl-C."""
    options = parser().parse_args(arguments)
    try:
        options.call(options)
    except UserError as error:
        print(f"al-cxr: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one would only break the interpreter's way out
        print("\nal-cxr: stopped; the same command goes on from here", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output went away (as in `al-cxr ... | head`); there is nobody left to tell.
        sys.stderr.close()
        return 141
    return 0


if __name__ == "__main__":
    sys.exit(main())
