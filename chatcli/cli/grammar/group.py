"""The grammar of `chat`: sub-commands beside words that are a prompt."""

from typing import Any

import typer
from typer.core import TyperGroup

from chatcli.cli.grammar.subcommands import SUBCOMMANDS

SUBCOMMAND = "chatcli.subcommand"
"""Under this key of a context's `meta` stands the sub-command, if the arguments name one."""


class PromptGroup(TyperGroup):
    """A group whose first word is a sub-command, or else, with all that follows, the prompt.

    Options may stand anywhere among the words of a prompt; those of `chat` itself stand before a sub-command. What
    follows `--` is always the prompt.
    """

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for command in SUBCOMMANDS:
            self.add_command(command)

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]  # typer's own
        """Leave the prompt's words in `ctx.args`, or a sub-command and its arguments to `TyperGroup`."""
        first = self._first_word(ctx, args)
        if first in self.commands:
            ctx.meta[SUBCOMMAND] = first
            return super().parse_args(ctx, args)
        ctx.allow_interspersed_args = True
        # Past TyperGroup's own method, which would take the first word for a sub-command.
        return super(TyperGroup, self).parse_args(ctx, args)

    def _first_word(self, ctx: typer.Context, args: list[str]) -> str | None:
        parser = self.make_parser(ctx)
        parser.allow_interspersed_args = False
        _options, words, _order = parser.parse_args(list(args))
        before = len(args) - len(words)
        escaped = before > 0 and args[before - 1] == "--"
        return words[0] if words and not escaped else None
