"""Runs a command between an editor and its agent, and keeps each line that passes: `relay.py LOG COMMAND [ARGS]`."""

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from threading import Lock, Thread
from typing import IO


def main(log: str, *command: str) -> int:
    """Return the command's exit code."""
    lock = Lock()
    with Path(log).open("w") as kept, subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as agent:
        assert agent.stdin is not None
        assert agent.stdout is not None

        def copy(sender: str, lines: Iterable[bytes], end: IO[bytes]) -> None:
            with end:
                for line in lines:
                    with lock:  # the log has the order in which they are sent on
                        kept.write(json.dumps({sender: json.loads(line)}) + "\n")
                        kept.flush()
                        end.write(line)
                        end.flush()

        Thread(target=copy, args=("editor", sys.stdin.buffer, agent.stdin), daemon=True).start()
        copy("agent", agent.stdout, sys.stdout.buffer)
        return agent.wait()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
