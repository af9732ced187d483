"""The `chat` executable."""

import sys

if __name__ == "__main__" and not sys.flags.safe_path:
    # `python -m` looks into the current folder first: a file there must not be imported instead of a library.
    # Something else takes its place, since the first place counts as the script's own (`helper.likeness`).
    sys.path[0] = sys.prefix

from chatcli.runtime.signals import end_on_signals


def main() -> None:
    """Run `chat` with the process's arguments and leave with its exit code."""
    end_on_signals()  # before all other imports: a signal that comes earlier shows Python's own traceback
    from chatcli.cli.process import arguments, run_here

    code = _run_by_helper(arguments())
    if code is not None:
        sys.exit(code)
    run_here()


def _run_by_helper(arguments: list[str]) -> int | None:
    """Return the exit code of the helper's child; None when this process has to do it itself, as it mostly has."""
    from chatcli.helper.eligible import may_use_helper

    if not may_use_helper(arguments):
        return None
    from chatcli.helper.client import run_by_helper

    return run_by_helper(arguments)


if __name__ == "__main__":
    main()
