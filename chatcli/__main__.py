"""The `chat` executable."""

import sys

if __name__ == "__main__" and not sys.flags.safe_path:
    # `python -m` imports from the current folder first: a file there must not take the place of a library.
    # The entry is replaced, not removed, since the first one counts as the script's folder (`helper.same_conditions`).
    sys.path[0] = sys.prefix

from chatcli.runtime.signals import end_on_signals


def main() -> None:
    """Run `chat` with the process's arguments and exit with its exit code."""
    end_on_signals()  # before all other imports: an earlier signal would show Python's own traceback
    from chatcli.cli.process import arguments, run_here

    code = _run_by_helper(arguments())
    if code is not None:
        sys.exit(code)
    run_here()


def _run_by_helper(arguments: list[str]) -> int | None:
    """Return the exit code of the helper's child, or None when this process has to run `chat` itself."""
    from chatcli.helper.eligible import may_use_helper

    if not may_use_helper(arguments):
        return None
    from chatcli.helper.client import run_by_helper

    return run_by_helper(arguments)


if __name__ == "__main__":
    main()
