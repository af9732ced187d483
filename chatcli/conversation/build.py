"""Builds the conversation of a run: which model, graph or app answers, and with which engine."""

from typing import TYPE_CHECKING

from chatcli.config.settings import Settings
from chatcli.conversation.place import Place
from chatcli.graphs.server.client import SERVER, ServerAddress
from chatcli.graphs.values import GivenValues
from chatcli.models.names import ModelName, choose_model

if TYPE_CHECKING:
    from collections.abc import Callable

    from chatcli.conversation.conversation import Conversation
    from chatcli.conversation.engine import OpenEngine
    from chatcli.events import Notice, Progress
    from chatcli.graphs.chat.answer_schema import AnswerSchema
    from chatcli.graphs.user.spec import GraphSpec
    from chatcli.tools.workspace import Workspace


def who_answers(settings: Settings, place: Place, graph: "GraphSpec | None" = None) -> ModelName:
    """Return what answers first: the app of a server, the user's `graph`, or a model.

    Raises:
        UsageError: The name of a model or of a role is not known.

    """
    if isinstance(place, ServerAddress):
        return ModelName(SERVER, settings.assistant or "")
    if graph is not None:
        return graph.model_name
    if not settings.role:
        return choose_model(settings)
    from chatcli.roles import opening_model, opening_setup

    return opening_model(settings, opening_setup(settings, None, first=True))


def build_conversation(
    settings: Settings,
    place: Place,
    thread_id: str,
    graph: "GraphSpec | None" = None,
    schema: "AnswerSchema | None" = None,
    *,
    name: ModelName | None = None,
    can_ask: bool = False,
    embedded: bool = False,
    given: GivenValues | None = None,
    documents: tuple[str, ...] = (),
    workspace: "Workspace | None" = None,
) -> "Conversation":
    """Return a conversation on the thread `thread_id` of `place`; nothing is opened or asked yet.

    The app of a server answers, the user's `graph`, or a model, whose answers follow `schema`. `can_ask` means that a
    user can be asked whether a tool may run. `name` is shown as what answers, until the thread is opened. A graph gets
    what is `given` beside the messages; None stands for what the settings say. `documents` are the resolved ones of the
    settings. One that is `embedded` in another program leaves that program's output and its logging alone. The tools
    work in `workspace`, by default in the current folder.

    Raises:
        UsageError: See `who_answers`.

    """
    from chatcli.conversation.conversation import Conversation

    opener = engine_opener(
        settings, place, graph, schema, can_ask=can_ask, embedded=embedded, given=given, workspace=workspace
    )
    who = name or who_answers(settings, place, graph)
    return Conversation(settings, place, thread_id, who, opener, documents)


def engine_opener(
    settings: Settings,
    place: Place,
    graph: "GraphSpec | None" = None,
    schema: "AnswerSchema | None" = None,
    *,
    can_ask: bool = False,
    embedded: bool = False,
    given: GivenValues | None = None,
    workspace: "Workspace | None" = None,
) -> "OpenEngine":
    """Return what opens the engine of a conversation; the arguments are those of `build_conversation`."""
    from chatcli.conversation.engine import Engine, import_engine

    chosen = GivenValues.of_settings(settings) if given is None else given

    async def open_engine(announce: "Callable[[Progress | Notice], None]") -> Engine:
        if isinstance(place, ServerAddress):
            await import_engine("server_engine", quiet=True)
            from chatcli.conversation.server_engine import ServerEngine

            return await ServerEngine.open(place, settings.timeout, chosen)
        if graph is not None:
            await import_engine("user_graph_engine", quiet=False)  # the graph's own log is shown
            from chatcli.conversation.user_graph_engine import GraphEngine

            return await GraphEngine.open(
                place, graph, announce, chosen, embedded=embedded, share_memory=settings.share_memory
            )
        await import_engine("chat_engine", quiet=not embedded)
        from chatcli.conversation.chat_engine import ChatEngine

        return await ChatEngine.open(
            settings, place, announce, schema, can_ask=can_ask, embedded=embedded, workspace=workspace
        )

    return open_engine
