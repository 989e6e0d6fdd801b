"""`python -m al_cxr` is `al-cxr`."""

import sys

from al_cxr.cli.__main__ import main

if __name__ == "__main__":  # a process that is spawned imports this file too
    sys.exit(main())
