"""Every failure that chatcli reports, as one tree.

    ChatcliError            code          exit  meaning
    ├── UsageError          usage            2  bad usage or configuration
    │   ├── UnansweredRequestError
    │   ├── StoppedGraphError
    │   └── MissingFieldError
    ├── AuthError           auth             3  a key is missing or was refused
    │   └── MissingKeyError
    ├── RefusedError        refused          4  the model refused the request
    │   ├── ContextError    context          4  the request does not fit the model's context
    │   ├── CutAnswerError
    │   └── CostError
    ├── StoreError          store            5  the store can't be used
    ├── NetworkError        network         75  try again later
    ├── InterruptedTurnError     interrupted    130  the user stopped it
    ├── GraphError          internal         1  the user graph failed
    │   └── ExitCallError
    └── InternalError       internal         1  a failure of chatcli itself

Only `cli` turns one of these into an exit code.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from typing import ClassVar, Literal

ErrorCode = Literal["auth", "context", "refused", "store", "network", "usage", "interrupted", "internal"]


class ExitCode(IntEnum):
    """The exit codes of the process; `chat help scripts` documents them."""

    OK = 0
    INTERNAL = 1
    USAGE = 2
    AUTH = 3
    REFUSED = 4
    STORE = 5
    TEMPORARY = 75  # EX_TEMPFAIL of sysexits.h
    INTERRUPTED = 130  # 128 + SIGINT, as shells report it


class ChatcliError(Exception):
    """A failure that is reported to the user in one or two lines.

    The `message` says what failed and why, without a key or a traceback; the `remedy`, if any, what to do next.
    """

    code: ClassVar[ErrorCode] = "internal"
    exit_code: ClassVar[ExitCode] = ExitCode.INTERNAL
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class UsageError(ChatcliError):
    """The command line, the environment or the config file is wrong."""

    code = "usage"
    exit_code = ExitCode.USAGE


class UnansweredRequestError(UsageError):
    """A question was asked on a thread that is waiting for an answer to its own request."""


class StoppedGraphError(UsageError):
    """A question was asked on a thread whose graph stopped at a breakpoint, or an answer was given to it."""


class MissingFieldError(UsageError, KeyError):
    """The fields `names` of a graph's `context` or `input` have no value; also a KeyError, as reading one raises."""

    def __init__(self, names: Sequence[str], *, of: str = "context") -> None:
        fields = f"the field {names[0]}" if len(names) == 1 else f"the fields {', '.join(names)}"
        each = names[0] if of == "context" else f"{of}.{names[0]}"
        remedy = f"Give it: --{of} {names[0]}=VALUE, or in a conversation /set {each}=VALUE"
        super().__init__(f"the graph's {of} needs {fields}", remedy=remedy)


class AuthError(ChatcliError):
    """A provider's key is missing, or the provider refused it."""

    code = "auth"
    exit_code = ExitCode.AUTH


class MissingKeyError(AuthError):
    """A model of `provider` needs a key, and there is none."""

    def __init__(self, message: str, *, remedy: str, provider: str) -> None:
        super().__init__(message, remedy=remedy)
        self.provider = provider


class RefusedError(ChatcliError):
    """The model refused the request: unknown model, content filter, bad request."""

    code: ClassVar[ErrorCode] = "refused"
    exit_code = ExitCode.REFUSED


class ContextError(RefusedError):
    """The request does not fit the model's context."""

    code = "context"


class CutAnswerError(RefusedError):
    """The model's content filter stopped an answer after a part of it was shown."""


class CostError(RefusedError):
    """The thread has cost more than the user's bound; the model is not asked."""


class StoreError(ChatcliError):
    """The store is locked, corrupt, full or unreachable."""

    code = "store"
    exit_code = ExitCode.STORE


class NetworkError(ChatcliError):
    """The network, a timeout, a rate limit or a failing server; trying again later may work."""

    code = "network"
    exit_code = ExitCode.TEMPORARY
    retryable = True


class InterruptedTurnError(ChatcliError):
    """The user stopped the turn."""

    code = "interrupted"
    exit_code = ExitCode.INTERRUPTED


class GraphError(ChatcliError):
    """A user graph raised an error that is not a provider's; the message names the line of its code."""


class ExitCallError(GraphError):
    """The code of a graph, or of a tool, called `sys.exit` or raised KeyboardInterrupt."""

    def __init__(self, end: BaseException) -> None:
        how = f"sys.exit({end.code!r})" if isinstance(end, SystemExit) else type(end).__name__
        self.ended = f"ended the program by {how}"
        super().__init__(f"a graph or a tool {self.ended}", remedy="Let it raise an exception instead.")


class BadGraphError(Exception):
    """The graph of a program that calls the library can't be used, as `failure` says.

    No ChatcliError: it is the caller who has to know, not the user at the terminal.
    """

    def __init__(self, failure: UsageError) -> None:
        super().__init__(failure.message)
        self.failure = failure


class InternalError(ChatcliError):
    """A failure of chatcli itself."""


@contextmanager
def usage_errors(what: str = "", *, remedy: str = "") -> Iterator[None]:
    """Turn a ValueError into a UsageError whose message begins with `what`."""
    try:
        yield
    except ValueError as error:
        raise UsageError(f"{what}{error}", remedy=remedy) from None


def unexpected(error: BaseException) -> InternalError:
    """Return `error`, which is nobody else's to explain: a limit of the machine, or a failure of chatcli itself."""
    failure = limit_of(error) or InternalError(
        f"{type(error).__name__}: {error}".removesuffix(": "),
        remedy="Run again with --debug to see where, and report it.",
    )
    failure.__cause__ = error
    return failure


def limit_of(error: BaseException) -> InternalError | None:
    """Return the error for the limit of the machine that `error` met; None where it is something else."""
    if isinstance(error, MemoryError):
        return InternalError("there is not enough memory", remedy="End other programs, or raise the limit (ulimit -v).")
    # The error of a stream that can't be written at once says how much was; that of a fork does not.
    forks = isinstance(error, BlockingIOError) and not hasattr(error, "characters_written")
    if forks or "can't start new thread" in str(error):
        return InternalError(
            "no more threads or processes can be started",
            remedy="End other programs, or raise the limit (ulimit -u).",
        )
    return None
