"""The main module of the helper: `python -P -m chatcli.cli.helper_main`, started by `helper.spawn`."""

import atexit
import os
import sys
from contextlib import suppress
from importlib import import_module

from chatcli.helper.same_conditions import Environment
from chatcli.helper.spawn import is_there, lock_start
from chatcli.runtime.deferred_packages import defer_packages, put_off_collections
from chatcli.runtime.tracing import leave_out_tracing

MODULES = (
    "chatcli.cli.app",
    "chatcli.cli.load_settings",
    "chatcli.cli.main",
    "chatcli.cli.process",
    "chatcli.cli.run.dispatch",
    "chatcli.cli.run.one_shot",
    "chatcli.conversation.chat_engine",
    "chatcli.graphs.chat.session",
    "chatcli.helper.server",
    "chatcli.models.build",
    "chatcli.models.local.client",
    "chatcli.models.openai",
    "chatcli.rendering.build",
    "chatcli.rendering.json",
    "chatcli.rendering.plain",
    "chatcli.rendering.terminal.renderer",
    "chatcli.store.open",
    "chatcli.tools.toolbox",
    # What the libraries import late.
    "anyio._backends._asyncio",
    "httpcore2",
    "langchain_core.prompts.chat",
    "openai.resources.chat.completions.completions",
)
"""What one-shots import, so that the children need not."""
MODELS = {
    "chatcli.models.openai": ("WholeChatOpenAI",),
    "langchain_core.messages": ("AIMessage", "AIMessageChunk", "HumanMessage"),
    "langchain_core.outputs": ("ChatGenerationChunk", "LLMResult"),
    "langchain_core.prompt_values": ("ChatPromptValue",),
    "openai.types.chat.chat_completion_chunk": ("ChatCompletionChunk", "Choice", "ChoiceDelta"),
}
"""The pydantic models that an answer needs; elsewhere, their first use builds them."""


def import_all() -> None:
    """Import and build everything that a child may need."""
    for module in MODULES:
        import_module(module)
    for module, names in MODELS.items():
        for name in names:
            getattr(import_module(module), name).model_rebuild()


def main() -> None:
    """Serve until the helper is not needed any more."""
    code: int | str | None = 1

    def end() -> None:
        """End without taking the imported modules apart: a child would copy all their pages for that, for 50 ms."""
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(code if isinstance(code, int) else 1)

    atexit.register(end)  # before all others: it runs after them
    try:
        _serve()
        code = 0
    except SystemExit as ended:
        code = ended.code or 0  # None is a success too
        raise


def _serve() -> None:
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))  # the descriptors that the one-shot had inherited
    os.chdir("/")  # keeps no file system busy
    try:
        lock = lock_start()
        if is_there():
            return
    except OSError:  # another helper is starting, or there is no private folder for it
        return
    put_off_collections()
    defer_packages()
    environment = Environment()
    with environment.watched():
        leave_out_tracing()
        import_all()
    from chatcli.cli.app import is_helper_run, read_command_line
    from chatcli.cli.process import run_here
    from chatcli.helper.server import serve

    read_command_line([], resilient=True)  # the children share the parser that this makes
    serve(environment, is_helper_run, run_here, lock)


if __name__ == "__main__":
    main()
