"""The main module of the helper: `python -P -m chatcli.cli.helper_main`, started by `helper.spawn`."""

import os

from chatcli.helper.same_conditions import Environment
from chatcli.helper.spawn import is_there, lock_start
from chatcli.runtime.garbage import put_off_collections


def import_all() -> None:
    """Import what one-shots import, also what the libraries import late, so that the children need not."""
    import anyio._backends._asyncio  # noqa: F401
    import httpcore2  # noqa: F401
    import openai.resources.chat.completions.completions  # noqa: F401

    import chatcli.cli.app
    import chatcli.cli.grammar.group
    import chatcli.cli.load_settings
    import chatcli.cli.main
    import chatcli.cli.process
    import chatcli.cli.run.dispatch
    import chatcli.cli.run.one_shot
    import chatcli.conversation.chat_engine
    import chatcli.graphs.chat.session
    import chatcli.helper.server
    import chatcli.helper.spawn
    import chatcli.models.build
    import chatcli.models.local.client
    import chatcli.models.openai.model
    import chatcli.rendering.build
    import chatcli.rendering.json
    import chatcli.rendering.plain
    import chatcli.rendering.terminal.renderer
    import chatcli.store.open
    import chatcli.tools.toolbox  # noqa: F401


def main() -> None:
    """Serve until the helper is not needed any more."""
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))  # the descriptors that the one-shot had inherited
    os.chdir("/")  # keeps no file system busy
    try:
        lock = lock_start()
        if is_there():
            return
    except OSError:  # another helper is starting, or there is no private folder for it
        return
    put_off_collections()
    environment = Environment()
    with environment.watched():
        import_all()
    from chatcli.cli.helper_runs import is_helper_run
    from chatcli.cli.process import run_here
    from chatcli.helper.server import serve

    serve(environment, is_helper_run, run_here, lock)


if __name__ == "__main__":
    main()
