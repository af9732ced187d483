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
    from chatcli.helper.eligible import may_use_helper

    given = arguments()
    if may_use_helper(given):
        from chatcli.helper.client import run_by_helper

        code = run_by_helper(given)
        if code is not None:  # else this process has to run `chat` itself
            sys.exit(code)
    run_here()


if __name__ == "__main__":
    main()
