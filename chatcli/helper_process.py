"""The helper's process: `python -P -m chatcli.helper_process`, started by `helper.spawn`."""

import os

from chatcli.garbage import put_off_collections
from chatcli.helper.likeness import Environment
from chatcli.helper.spawn import is_there, lock_start


def import_all() -> None:
    """Import what one-shots import, so that children need not; what the libraries put off themselves too."""
    import anyio._backends._asyncio  # noqa: F401
    import httpcore2  # noqa: F401
    import openai.resources.chat.completions.completions  # noqa: F401

    import chatcli.chat_session
    import chatcli.cli.app
    import chatcli.cli.coercion
    import chatcli.cli.converse
    import chatcli.cli.main
    import chatcli.cli.once
    import chatcli.cli.script
    import chatcli.cli.start
    import chatcli.cli.suits_helper
    import chatcli.cli.trusting
    import chatcli.engines.chat
    import chatcli.helper.server
    import chatcli.helper.spawn
    import chatcli.models.local.client
    import chatcli.models.openai
    import chatcli.models.registry
    import chatcli.process
    import chatcli.rendering.json
    import chatcli.rendering.late
    import chatcli.rendering.plain
    import chatcli.rendering.terminal
    import chatcli.store.open
    import chatcli.tools.toolbox  # noqa: F401


def main() -> None:
    """Serve until nobody needs it any more."""
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))  # what the one-shot that started it had inherited
    os.chdir("/")  # keeps no file system busy
    try:
        lock = lock_start()
        if is_there():
            return
    except OSError:  # another one is starting, or there is no place for it
        return
    put_off_collections()
    environment = Environment()
    with environment.watched():
        import_all()
    from chatcli.cli.suits_helper import is_for_helper
    from chatcli.helper.server import serve
    from chatcli.process import run_here

    serve(environment, is_for_helper, run_here, lock)


if __name__ == "__main__":
    main()
