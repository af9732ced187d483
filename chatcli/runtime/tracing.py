"""What LangSmith did not take, and what it still has to send when the program ends, if its variables switched it on."""

import sys

from chatcli.text_lines import one_line

END_TIMEOUT = 2.0
"""Seconds that a trace may hold up the end of the program."""
_failures: list[Exception] = []


def watch_tracing() -> None:
    """Note what LangSmith does not take from now on, where its variables switch it on.

    It is for whoever has imported langchain's core, which brings LangSmith's package along.
    """
    from langsmith.utils import LangSmithError, tracing_is_enabled

    if not tracing_is_enabled():
        return
    import logging

    from langsmith.run_trees import get_cached_client

    # It warns through logging of what `trace_failure` tells; without a handler that would go to stderr.
    logging.getLogger("langsmith").addHandler(logging.NullHandler())
    try:
        get_cached_client(tracing_error_callback=_failures.append)  # the one that langchain's tracer will use
    except LangSmithError as error:
        _failures.append(error)


def trace_failure() -> str:
    """Return why LangSmith did not take what it was sent, empty where it did; it may repeat a key."""
    if not _failures:
        return ""
    reason, _, _ids = str(_failures[-1]).partition("trace=")
    return one_line(reason)


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
