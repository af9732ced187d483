"""Commands about what answers: /model, /context, /compact, /cost, /role, /set, /system, /state; /approve, /tools."""

import asyncio
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chatcli import paths
from chatcli.commands.registry import Choice, Command, CommandContext, run_chosen
from chatcli.config.values import parse_variable, parse_variables, positive
from chatcli.errors import ChatcliError, UsageError
from chatcli.events import Listing, Notice
from chatcli.graphs.values import KINDS, parse_place, shown_key, shown_value
from chatcli.message import is_review
from chatcli.models.prices import cost_listing, dollars, table_name
from chatcli.roles import SHIPPED, Setup, find_role, read_role, role_files
from chatcli.sessions.requests import Ask
from chatcli.text import one_line

NO_ROLE = ("none", "off")
MAX_COST = "max_cost"
WATCH = "watch"

if TYPE_CHECKING:
    from chatcli.graphs.values_session import ValuesSession

EXCERPT = 60
"""The most characters of a message in a listing."""
DESCRIPTION = 100
"""The most characters of the description of a tool: two rows of a screen of 80 columns."""
_SENTENCE_END = re.compile(r"(?<=[.!?])\s|(?<=\u3002)|\n\s*\n")
_SPEAKERS = {"human": "you", "ai": "model"}


async def choose_model(context: CommandContext, arguments: str) -> None:
    """Use the model NAME; without NAME, pick one."""
    conversation = context.conversation
    if not arguments:
        await _offer_models(context)
        return
    had_documents = bool(conversation.documents)
    await conversation.use_model(arguments)
    await context.show(Notice(f"model {conversation.model_name}"))
    if had_documents and not conversation.takes_documents:
        await context.show(Notice("it answers without this thread's documents: a Langflow flow has its own", "warning"))


async def _offer_models(context: CommandContext) -> None:
    """Let the user pick one of the models that can be used now; the current one is marked, and among them."""
    from chatcli.models.usable import usable_models  # an HTTP client, which the other commands do without

    current, found = context.conversation.model_name, await asyncio.to_thread(usable_models, context.settings)
    choices = []
    for one in found:
        name, about = (one.alias, f"{one.name}, alias") if one.alias else (str(one.name), one.source)
        choices.append(Choice(name, about, current=one.name == current))
    if not any(choice.current for choice in choices):
        choices.insert(0, Choice(str(current), "", current=True))
    await run_chosen("model", context, "model", choices, Notice(f"model {current}"))


async def show_context(context: CommandContext, arguments: str) -> None:
    """List the messages sent with the next question."""
    fitted = await (await context.conversation.chat_session()).context()
    known = fitted.known
    groups = (("summed up", fitted.summed_up), ("left out", fitted.left_out), ("sent", fitted.messages))
    rows = [
        (state, _SPEAKERS.get(message.type, message.type), one_line(str(message.text), EXCERPT))
        for state, messages in groups
        for message in messages
    ]
    about = f"about {fitted.rules_tokens} tokens in all"
    rows[:0] = [("sent", "instructions", f"{path}, {about}") for path in known.sources]
    rows += [("sent", "memory", fact) for fact in known.facts or ()]
    rows += [("sent last", "passage", f"[{each.number}] {each.place}") for each in fitted.passages]
    await context.show(Listing("Context", ("", "role", "text"), tuple(rows)))
    budget = "no known limit" if fitted.budget is None else f"a budget of {fitted.budget}"
    counts = f"{len(fitted.messages)} messages are sent, {len(fitted.left_out)} left out"
    if fitted.summed_up:
        counts += f", {len(fitted.summed_up)} sent as a summary"
    await context.show(Notice(f"{counts}: about {fitted.tokens} tokens, {budget}"))
    if fitted.passages:
        counts = f"{len(fitted.passages)}, about {fitted.passage_tokens} tokens"
        told = f"passages of documents with the newest question: {counts}; the next question gets its own"
        await context.show(Notice(told))


async def compact(context: CommandContext, arguments: str) -> None:
    """From now on send a summary in place of the oldest turns."""
    summary = await context.conversation.compact()
    told = "the oldest turns are now sent as this summary; the thread keeps them, see /history:"
    await context.show(Notice(f"{told}\n{summary}"))


async def choose_role(context: CommandContext, arguments: str) -> None:
    """Use the role NAME, or "none"; without NAME, pick one."""
    conversation = context.conversation
    setup = (await conversation.chat_session()).setup
    if not arguments:
        choices, printed = await asyncio.to_thread(_role_choices, setup)
        await run_chosen("role", context, "role", choices, printed)
        return
    name, _, variables = arguments.partition(" ")
    if name.lower() in NO_ROLE and name.lower() not in role_files():
        setup = setup.with_system("")
    else:
        setup = setup.with_role(find_role(name), parse_variables(variables))
    await conversation.use_setup(setup)
    await context.show(Notice(_described(setup)))


def _role_choices(setup: Setup) -> tuple[list[Choice], Notice]:
    """Return the roles, and none, to choose from, and what is printed instead."""
    files = role_files()
    choices = [Choice(name, _about_role(path), current=name == setup.role.lower()) for name, path in files.items()]
    if NO_ROLE[0] not in files:
        about = "the thread's own system prompt goes too" if setup.system and not setup.role else ""
        choices.insert(0, Choice(NO_ROLE[0], about, current=not setup.role and not setup.system))
    return choices, Notice(f"{_described(setup)}. Roles: {', '.join(files)}")


def _about_role(path: Path) -> str:
    """Return the description of the role in the file `path`; picking one that can't be used reports why."""
    shipped = path.parent == SHIPPED
    whose = "shipped" if shipped else "yours"
    with suppress(ChatcliError):
        role = read_role(path, shipped=shipped)
        variables = f" ({', '.join(role.variables)})" if role.variables else ""
        return f"{role.description or whose}{variables}"
    return f"{whose}, can't be used"


async def set_variable(context: CommandContext, arguments: str) -> None:
    """Set a variable, or a value of the graph; alone, show all."""
    conversation = context.conversation
    name, equals, bound = arguments.partition("=")
    if equals and name.strip() == MAX_COST and not conversation.has_own_graph:
        conversation.cost_bound.max_cost = None if bound.strip().lower() in NO_ROLE else parse_bound(bound)
        await context.show(Notice(_described_bound(conversation.cost_bound.max_cost)))
        return
    from chatcli.graphs.values_session import ValuesSession  # imports LangGraph, which the session needs too

    session = await conversation.session()
    if isinstance(session, ValuesSession):
        if not arguments:
            await context.show(_values_table(session))
            return
        kind, key, value = parse_place(arguments)
        await session.set_value(kind, key, value)
        await context.show(Notice(f"{shown_key(kind, key)}={shown_value(key, session.values.of(kind)[key])}"))
        return
    setup = (await conversation.chat_session()).setup
    if arguments:
        name, value = parse_variable(arguments)
        setup = setup.with_variables({name: value})  # the others stay
        await conversation.use_setup(setup)
    await context.show(Notice(_described(setup)))
    if not arguments and conversation.cost_bound.max_cost is not None:
        await context.show(Notice(_described_bound(conversation.cost_bound.max_cost)))


async def show_cost(context: CommandContext, arguments: str) -> None:
    """Show what the thread has cost, by model."""
    conversation = context.conversation
    answers = await conversation.answered()
    if not answers:
        await context.show(Notice("nothing is known to have been paid for this thread yet"))
    else:
        await context.show(cost_listing("Cost of the thread", answers))
    table = await asyncio.to_thread(table_name)
    await context.show(Notice(f"prices: {table}; {_described_bound(conversation.cost_bound.max_cost)}"))


def parse_bound(text: str) -> float:
    """Return the bound of a thread's cost in US dollars; raise ValueError if `text` is none."""
    try:
        return positive(float(text))
    except ValueError:
        given = text.strip() or "nothing"
        raise ValueError(f"{MAX_COST}: a number of US dollars above 0, or off, not {given}") from None


def _described_bound(bound: float | None) -> str:
    return "no bound is set (--max-cost)" if bound is None else f"a thread may cost {dollars(bound)} (--max-cost)"


def _values_table(session: "ValuesSession") -> Listing | Notice:
    """Return the values that the graph gets from the user, and the others that it takes."""
    types, values = session.schemas.types(), session.values
    given = {(kind, key): shown_value(key, value) for kind in KINDS for key, value in values.of(kind).items()}
    rows = [
        (shown_key(kind, key), one_line(given.get((kind, key), ""), EXCERPT), types.get((kind, key), ""))
        for kind, key in sorted({*types, *given})
    ]
    if not rows:
        return Notice("the graph has no fields to set")
    return Listing("Values of the graph", ("key", "value", "type"), tuple(rows))


async def show_state(context: CommandContext, arguments: str) -> None:
    """Show the graph's state, or set a KEY; watch: its changes."""
    from chatcli.sessions.state import in_full, in_one_line  # imports pydantic, which the engine imports too

    conversation = context.conversation
    key, equals, text = arguments.partition("=")
    if arguments == WATCH:
        conversation.watch_state = not conversation.watch_state
        watched = "shown" if conversation.watch_state else "not shown any more"
        await context.show(Notice(f"the changes of each turn are {watched}"))
        return
    session = await conversation.session()
    if equals:
        key = key.strip()
        value = await session.edit_state(key, text.strip())
        await context.show(Notice(f"{key} is now {in_one_line(value)}; /undo leaves it"))
        return
    state = await session.state()
    if not key:
        await context.show(state_listing(state))
    elif key in state:
        await context.show(Notice(in_full(state[key])))
    else:
        names = await session.state_names()
        if key in names:
            await context.show(Notice(f"{key} has no value yet; it is of the type {names[key]}"))
            return
        raise UsageError(f"the state has no key {key}", remedy=f"It has: {', '.join(names) or 'none'}.")


def state_listing(state: dict[str, Any]) -> Listing | Notice:
    """Return the overview of `state`; long values are cut."""
    from chatcli.sessions.state import in_one_line

    if not state:
        return Notice("the thread has nothing beside its messages")
    return Listing("State", ("key", "value"), tuple((key, in_one_line(value)) for key, value in state.items()))


async def set_system(context: CommandContext, arguments: str) -> None:
    """Set the system prompt; without TEXT, show it."""
    conversation = context.conversation
    setup = (await conversation.chat_session()).setup
    if arguments:
        setup = setup.with_system(arguments)
        await conversation.use_setup(setup)
    await context.show(Notice(f"system prompt: {setup.system}" if setup.system else _described(setup)))


async def show_tools(context: CommandContext, arguments: str) -> None:
    """List the tools, and the calls that run without asking."""
    from chatcli.tools.tool import kept_rules  # imports langchain, which the engine imports too

    session = await context.conversation.chat_session()
    toolbox = session.toolbox
    if toolbox.empty:
        how = "--tools for the built-in ones, --recall to search past threads, [mcp.NAME] in config.toml for a server's"
        await context.show(Notice(f"no tools are switched on: use {how}"))
        return
    if toolbox.starting:
        await context.show(Notice(f"starting MCP servers: {', '.join(toolbox.starting)}", passing=True))
    tools = await toolbox.open(lambda line: None)
    rows = tuple((tool.name, tool.server or "built in", _excerpt(tool.runnable.description)) for tool in tools.values())
    await context.show(Listing("Tools", ("tool", "from", "does"), rows))
    for problem in toolbox.problems():
        await context.show(Notice(problem, "warning"))
    rules = [
        *((rule, "this run") for rule in toolbox.rules.given),
        *((rule, "this thread") for rule in await session.allowed()),
        *((rule, f"always, in {paths.rules_file()}") for rule in kept_rules()),
    ]
    if toolbox.rules.mode == "yes":
        rules.insert(0, ("*", "this run (--yes)"))
    if rules:
        await context.show(Listing("Run without asking", ("rule", "where"), tuple(rules)))
    else:
        await context.show(Notice("no rule lets a call run unasked: allow one by t or a, or by --allow RULE"))


async def approve(context: CommandContext, arguments: str) -> Ask | None:
    """Answer the pending request; without ANSWER, approve calls."""
    session = await context.conversation.session()
    pending = await session.pending(shown=False)
    if not pending:
        if (stopped := await session.stopped_notice()) is not None:
            raise UsageError(stopped.text)
        raise UsageError("this thread is not waiting for an answer")
    if not arguments and not is_review(pending[0].payload):
        for request in await session.pending():
            await context.show(request)
        return None
    return Ask(arguments or "approve", typed=True)


def _described(setup: Setup) -> str:
    if not setup.role:
        return "no role" if not setup.system else "no role; the thread has its own system prompt (/system shows it)"
    values = ", ".join(f"{name}={value}" for name, value in setup.variables.items())
    return f"role {setup.role}{f' with {values}' if values else ''}"


def _excerpt(description: str) -> str:
    """Return the first sentence of `description`, cut between words where it is long."""
    sentence = one_line(_SENTENCE_END.split(description.strip(), maxsplit=1)[0])
    beginning = sentence[: DESCRIPTION - 3]
    return sentence if len(sentence) <= DESCRIPTION else f"{beginning.rpartition(' ')[0] or beginning}..."


COMMANDS = (
    Command("model", "[NAME]", choose_model, "Model", only="chat"),
    Command("role", "[NAME]", choose_role, "Model", only="chat"),
    Command("system", "[TEXT]", set_system, "Model", only="chat"),
    Command("set", "[KEY=VALUE]", set_variable, "Model"),
    Command("context", "", show_context, "Model", only="chat"),
    Command("compact", "", compact, "Model", only="chat"),
    Command("cost", "", show_cost, "Model"),
    Command("tools", "", show_tools, "Tools", only="chat"),
    Command("approve", "[ANSWER]", approve, "Tools", in_editor=False),
    Command("state", "[KEY=JSON]", show_state, "Model"),
)
