"""The command line: parse, call, print. No logic."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Sequence

from al_cxr.cli.parser import parser
from al_cxr.core import streams
from al_cxr.core.drafts import remedy
from al_cxr.core.errors import UserError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code: 0 done, 2 a mistake in what was given, 130 stopped by Ctrl-C, 141 nobody reads
    the output, 1 the machine cannot do it: no room, no memory, a file that cannot be read."""
    streams.make_ready()
    # A command draws files alone. What a notebook or a desktop has set for itself may not even be installed here.
    os.environ["MPLBACKEND"] = "agg"
    options = parser().parse_args(arguments)
    try:
        options.call(options)
        sys.stdout.flush()  # what cannot be printed is met here, and not at the interpreter's end
    except UserError as error:
        return _fail(str(error), 2)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one would only break the interpreter's way out
        print("\nal-cxr: stopped; the same command goes on from here", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output went away (as in `al-cxr ... | head`); there is nobody left to tell.
        streams.give_up(sys.stdout)
        streams.give_up(sys.stderr)
        return 141
    except MemoryError:
        return _fail("the memory is used up; use smaller images or batches, fewer processes, or a larger machine", 1)
    except OSError as error:
        streams.failed(sys.stdout)
        # Whatever else is written names its file (al_cxr.core.drafts).
        where = "the output cannot be printed" if error.filename is None else os.fsdecode(error.filename)
        return _fail(f"{where}: {remedy(error)}", 1)
    except RuntimeError as error:
        if type(error).__name__ == "OutOfMemoryError":  # torch's, which is imported where it is needed
            return _fail(
                "the GPU's memory is used up; lower machine.score_batch or train.batch_size, use smaller images, or "
                "set machine.device to cpu",
                1,
            )
        if "home directory" not in str(error):  # pathlib's, where a user has none
            raise
        return _fail(
            "there is no home folder for caches; set HOME, or AL_CXR_CACHE for the pixels, to a folder of yours", 1
        )
    return 0


def _fail(message: str, code: int) -> int:
    """Say what is wrong, if anybody can be told; the exit code."""
    with contextlib.suppress(OSError):
        print(f"al-cxr: error: {message}", file=sys.stderr, flush=True)
    streams.failed(sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
