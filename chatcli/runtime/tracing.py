"""Watches LangSmith's tracing, if its variables switch it on: its failures, and the end of its sending."""

import sys

from chatcli.text import one_line

SEND_TRACES_SECONDS = 2.0
"""Maximum number of seconds that a trace may delay the end of the program."""
_failures: list[Exception] = []


def watch_tracing() -> None:
    """Note the failures of LangSmith's tracing from now on, if its variables switch it on."""
    # Call it after langchain-core is imported, which imports LangSmith's package too.
    from langsmith.utils import tracing_is_enabled

    if not tracing_is_enabled():
        return
    import logging

    from langsmith.run_trees import get_cached_client
    from langsmith.utils import LangSmithError

    # It also logs what `trace_failure` returns; without a handler, that would go to stderr.
    logging.getLogger("langsmith").addHandler(logging.NullHandler())
    try:
        get_cached_client(tracing_error_callback=_failures.append)  # the client that langchain's tracer will use
    except LangSmithError as error:
        _failures.append(error)


def trace_failure() -> str:
    """Return why LangSmith refused a trace, empty where it did not; the text may hold a key."""
    if not _failures:
        return ""
    reason, _, _ids = str(_failures[-1]).partition("trace=")
    return one_line(reason)


def finish_tracing() -> bool:
    """Send the rest of the traces; return whether that is done, or was given up after SEND_TRACES_SECONDS."""
    # LangSmith's own threads would retry an unreachable server for many seconds, and wait for a hanging one for
    # minutes. After giving up, only `os._exit` ends without them.
    # The client that all tracers share; LangSmith's package may be imported in part only: see `untraced`.
    trees = sys.modules.get("langsmith.run_trees")
    client = trees and vars(trees).get("_CLIENT")
    if client is None:  # nothing was traced
        return True
    from threading import Thread

    sending = Thread(target=client.flush, daemon=True)
    try:
        sending.start()
        sending.join(SEND_TRACES_SECONDS)
    except (RuntimeError, KeyboardInterrupt):  # no thread can be started, or the user does not wait
        return False
    return not sending.is_alive()
