"""The failures of a user graph, with the line of the user's code that caused them."""

import os
import sysconfig
import traceback
from pathlib import Path

from langgraph.errors import GraphRecursionError, is_invalid_resume

import chatcli
from chatcli.config.secrets import redact, secrets_of
from chatcli.errors import ChatcliError, GraphError, UsageError
from chatcli.graphs.user.spec import GraphSpec
from chatcli.models.errors import shorten, translate_foreign
from chatcli.store.errors import as_store_error
from chatcli.text_lines import one_line

MAX_REASON = 300
"""Characters of an exception's message that are shown."""
_OURS = str(Path(chatcli.__file__).parent)
_LIBRARIES = (_OURS, *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")))


def loading_failure(error: BaseException, spec: GraphSpec) -> ChatcliError:
    """Return why the graph of `spec` can't be loaded."""
    if isinstance(error, ChatcliError):
        return error
    return UsageError(f"the graph {spec.name!r} can't be loaded: {describe(error)}")


def running_failure(error: BaseException, spec: GraphSpec) -> ChatcliError:
    """Return the error that ended a turn of the graph of `spec`: a provider's, the store's, or the graph's own."""
    if isinstance(error, ChatcliError):
        failure = error
    elif isinstance(error, GraphRecursionError):
        failure = GraphError(
            f"the graph {spec.name!r} was stopped: it took too many steps without reaching its end",
            remedy="Look for a loop in it, or give it a larger recursion_limit by graph.with_config().",
        )
    elif is_invalid_resume(error):
        failure = UsageError(f"the answer is not what the graph expects: {_line(error)}", remedy="Answer it again.")
    elif (known := as_store_error(error) or translate_foreign(error, f"the graph {spec.name!r}")) is not None:
        failure = type(known)(shorten(_redact(known.message)), remedy=known.remedy)
    else:
        failure = GraphError(f"the graph {spec.name!r} failed: {describe(error)}")
    if failure is not error:
        failure.__cause__ = error
    return failure


def describe(error: BaseException) -> str:
    """Return `error` in one line, with the file and line of the user's code, without any key."""
    place = find_place(error)
    where = f" ({_shown(place[0])}, line {place[1]})" if place is not None else ""
    return f"{_line(error)}{where}"


def find_place(error: BaseException) -> tuple[str, int] | None:
    """Return the file and line of the innermost frame of `error` in the user's code, not in a library."""
    if isinstance(error, SyntaxError) and error.filename:
        return error.filename, error.lineno or 0
    frames = [(frame.filename, frame.lineno or 0) for frame in traceback.extract_tb(error.__traceback__)]
    frames = [frame for frame in frames if not frame[0].startswith("<") and not _in(frame[0], (_OURS,))]
    own = [frame for frame in frames if not _in(frame[0], _LIBRARIES)]
    # The user graph may be an installed package.
    return next((found[-1] for found in (own, frames) if found), None)


def _redact(text: str) -> str:
    """Return `text` without the keys, tokens and passwords in the environment."""
    return redact(text, secrets_of(os.environ))


def _line(error: BaseException) -> str:
    message = error.msg if isinstance(error, SyntaxError) else str(error)
    return one_line(_redact(one_line(f"{type(error).__name__}: {message}")).rstrip(": "), MAX_REASON)


def _in(file: str, folders: tuple[str, ...]) -> bool:
    return any(Path(file).is_relative_to(folder) for folder in folders)


def _shown(file: str) -> str:
    path = Path(file)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else file
