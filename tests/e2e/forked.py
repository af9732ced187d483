"""Runs `chat` in processes that are forked after its imports: real processes, started two hundred times in seconds."""

import os
import signal
import sys
import time
from pathlib import Path

import chatcli.cli.app
import chatcli.cli.run.dispatch
import chatcli.conversation.build
import chatcli.graphs.chat.session
import chatcli.models.openai.model
import chatcli.rendering.plain
import chatcli.store.open  # noqa: F401 - all of these are imported so that the children need not
from chatcli.cli.main import run


def main() -> None:
    """For each line `SECONDS ARGUMENT...` on stdin, run `chat` and kill it after so long; tell how it ended."""
    for line in sys.stdin:
        seconds, *arguments = line.rstrip("\n").split("\t")
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            os.dup2(writer, 1)
            sys.stdin = Path(os.devnull).open()  # noqa: SIM115 - for the child's life
            sys.stdout = os.fdopen(1, "w")
            code = run(arguments)
            sys.stdout.flush()
            os._exit(code)
        os.close(writer)
        deadline = time.monotonic() + float(seconds)
        while time.monotonic() < deadline and os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            time.sleep(0.002)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        with os.fdopen(reader, "rb") as output:
            print(output.read().hex() or "-", flush=True)


if __name__ == "__main__":
    main()
