"""What LangSmith still has to send when the program ends, if its variables switched it on."""

import sys

END_TIMEOUT = 2.0
"""Seconds that a trace may hold up the end of the program."""


def finish_tracing() -> bool:
    """Send what is left of the traces; return whether that is done, or was given up after END_TIMEOUT.

    LangSmith's own threads would try a server that is away for many seconds, and wait for one that hangs for minutes.
    Where it was given up, only `os._exit` leaves without them.
    """
    tracers = sys.modules.get("langchain_core.tracers.langchain")
    if tracers is None:  # nothing has been asked
        return True
    from threading import Thread

    sending = Thread(target=tracers.wait_for_all_tracers, daemon=True)
    sending.start()
    try:
        sending.join(END_TIMEOUT)
    except KeyboardInterrupt:
        return False
    return not sending.is_alive()
