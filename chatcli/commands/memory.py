"""The command about remembered facts: /memory."""

import asyncio
from typing import TYPE_CHECKING

from chatcli.commands.registry import Command, CommandContext
from chatcli.conversation.conversation import Conversation
from chatcli.errors import UsageError
from chatcli.events import Notice

if TYPE_CHECKING:
    from chatcli.memory.prompt_context import PromptContextReader

USAGE = "list | add TEXT | edit | forget N... | off | on"


async def change_memory(context: CommandContext, arguments: str) -> None:
    """List remembered facts; add TEXT, forget N, edit, off, on."""
    from chatcli.memory import facts  # imports SQLite, which the engine imports too

    word, _, rest = arguments.partition(" ")
    rest = rest.strip()
    project = word in ("add", "edit") and rest.partition(" ")[0] == "--project"
    file = facts.chosen_file(context.folder, project=project)
    rest = rest.partition(" ")[2].strip() if project else rest
    if word in ("", "list") and not rest:
        await context.show(facts.listing(await asyncio.to_thread(facts.all_facts, context.folder)))
        knowledge = await _knowledge(context.conversation)
        if knowledge is None or not knowledge.memory:
            await context.show(Notice("the memory is off; /memory on sends facts again"))
    elif word == "add" and rest:
        await context.show(Notice(f"remembered: {(await asyncio.to_thread(facts.add, rest, file)).text}"))
    elif word == "edit" and not rest:
        await context.screen.edit(await asyncio.to_thread(facts.prepare, file))
    elif word == "forget" and (numbers := rest.split()) and all(map(str.isdecimal, numbers)):
        for fact in await asyncio.to_thread(facts.forget, [int(number) for number in numbers], context.folder):
            await context.show(Notice(f"forgotten: {fact.text}"))
    elif word in ("on", "off") and not rest:
        await asyncio.to_thread(facts.switch, on=word == "on")
        if (knowledge := await _knowledge(context.conversation)) is not None:
            knowledge.memory = word == "on"
        await context.show(Notice(f"the memory is {word}, in this conversation and in later ones"))
    else:
        raise UsageError(f"/memory takes {USAGE}", remedy="For example: /memory add I use metric units")


async def _knowledge(conversation: Conversation) -> "PromptContextReader | None":
    return None if conversation.has_own_graph else (await conversation.chat_session()).knowledge


COMMANDS = (Command("memory", "[WORD]", change_memory, "Tools"),)
