"""A process that computes features for another: one thread, the backbone once, batches until there are no more.

It is started as `python -m al_cxr.training.feature_worker FD` and not by `multiprocessing`, which would run the main
script of a user again. It ends when the other end of its connection is closed, so it outlives nobody.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import sys
import threading
from multiprocessing.connection import Connection

READY = b"ready"


def serve(connection: Connection) -> None:
    """Answer each batch with its features, or with the text of a user's mistake, in order."""
    from al_cxr.core.errors import UserError
    from al_cxr.core.progress import mute
    from al_cxr.training.feature_pass import Pass

    mute()
    # From the process that started this one, over a connection that nobody else has.
    compute: Pass = pickle.loads(connection.recv_bytes())
    compute.runtime.activate()
    waiting: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def receive() -> None:
        """Takes batches at once, so that nobody waits to hand one over while this process waits to hand one back."""
        try:
            while True:
                waiting.put(connection.recv_bytes())
        except (EOFError, OSError):
            os._exit(0)

    threading.Thread(target=receive, daemon=True).start()
    connection.send_bytes(READY)
    while True:
        batch = pickle.loads(waiting.get())
        try:
            answer: object = compute(batch)
        except UserError as mistake:
            answer = str(mistake)
        try:
            connection.send_bytes(pickle.dumps(answer, protocol=5))
        except OSError:  # nobody is there any more
            return


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for the process that started this one
    serve(Connection(int(sys.argv[1])))
