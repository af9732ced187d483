"""What MCP servers offer beside tools: resources, which are attached like files, and prompts, which are commands."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from chatcli.errors import UsageError


@dataclass(frozen=True, slots=True)
class ServedResource:
    """A resource that a server lists; untrusted texts."""

    uri: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class ServedPrompt:
    """A prompt that a server lists, with the names of its arguments, and which of them it needs; untrusted texts."""

    server: str
    name: str
    description: str = ""
    arguments: Mapping[str, bool] = field(default_factory=dict)

    @property
    def command(self) -> str:
        """What calls it, after the slash."""
        return f"{self.server}:{self.name}"

    @property
    def usage(self) -> str:
        """Its arguments as `/help` shows them."""
        return " ".join(name.upper() if needed else f"[{name.upper()}]" for name, needed in self.arguments.items())

    def read_arguments(self, text: str) -> dict[str, str]:
        """Return the values in `text`, in the order of the arguments, or as `name=value`; quotes hold one together.

        The last argument gets all words that are left.
        """
        try:
            words = shlex.split(text)
        except ValueError:  # an apostrophe
            words = text.split()
        given: dict[str, str] = {}
        loose: list[str] = []
        for word in words:
            name, equals, value = word.partition("=")
            if equals and name in self.arguments and name not in given:
                given[name] = value
            else:
                loose.append(word)
        free = [name for name in self.arguments if name not in given]
        if loose and not free:
            raise UsageError(f"/{self.command} takes no more values: {loose[0]}", remedy=self._form())
        for index, name in enumerate(free[: len(loose)]):
            given[name] = " ".join(loose[index:]) if name == free[-1] else loose[index]
        if missing := [name for name, needed in self.arguments.items() if needed and name not in given]:
            raise UsageError(f"/{self.command} needs {', '.join(missing)}", remedy=self._form())
        return given

    def argument_at_end(self, text: str) -> tuple[str, str]:
        """Return the name of the argument that the last word of `text` gives, and its beginning.

        The name is empty if the prompt takes no more arguments.
        """
        *before, word = text.split(" ")
        free = [name for name in self.arguments if not any(each.startswith(f"{name}=") for each in before)]
        name, equals, begun = word.partition("=")
        if equals and name in free:
            return name, begun
        loose = len([*filter(None, before)]) - (len(self.arguments) - len(free))
        return (free[min(loose, len(free) - 1)], word) if free else ("", word)

    def _form(self) -> str:
        return f"Type: /{self.command} {self.usage}".rstrip()
