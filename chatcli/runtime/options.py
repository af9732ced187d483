"""The options of `chat`, each declared once: Typer, the settings, the manual and the helper's client read this table.

Nothing heavy is imported here: the helper's client and a plain conversation read it, and a line, before Typer is
imported. A test compares the grammar here with Typer's.
"""

from collections.abc import Iterator, Sequence
from typing import Any

SCOPES = ("model", "graph", "chat", "run", "user", "terminal", "question", "start")
"""Where an option does not hold for everybody.

- `model`: a user graph and a server do not take it, since they have their own models and tools.
- `graph`: only a user graph and a server take it.
- `chat`: a builder's program does not have it; nor has it those of `model`.
- `run`: it is about one run, so what is set for `chat` does not hold for a builder's program.
- `user`: no `.env` sets it, trusted or not: only the user attaches, asks and approves.
- `terminal`: it is about a terminal or a pipe, which `chat acp` and `chat mcp` do not have.
- `question`: it is about one question, which another program asks `chat acp` and `chat mcp`.
- `start`: it says how this run begins, and is no setting.
"""
SUBCOMMANDS = (
    *("threads", "models", "roles", "keys", "config", "trust", "docs", "memory", "usage", "acp", "mcp", "doctor"),
    "help",
)
_MAX_DIGITS = 18
_LIKENESS = 0.75
"""How alike a word and the name that it mistypes are at least: two letters of four are exchanged in `hlep`."""
WORD, ESCAPED = "", "--"
"""Take the place of the option for a word, and for a word after `--`."""


class Option:
    """An option of `chat`.

    Args:
        usage: Its names, and in capitals what stands for its value; nothing for a flag.
        help: What it does.
        scopes: Words of `SCOPES`.
        kind: The type of its value; `list` where it is repeatable.
        complete: The function of `cli.grammar.offers` that completes its value in a shell, or `files`.
        name: The field of `Settings` that takes it, where the first of its names does not say that.

    """

    def __init__(
        self,
        usage: str,
        help: str,  # noqa: A002 - as Typer calls it
        scopes: str = "",
        *,
        kind: type = str,
        complete: str = "",
        name: str = "",
    ) -> None:
        words = usage.split()
        self.flags = tuple(word for word in words if word.startswith("-"))
        self.metavar = "" if words[-1] in self.flags else words[-1]
        self.help = help
        self.scopes = scopes.split()
        self.kind = kind if self.metavar else bool
        self.complete = complete
        self.name = name or self.key

    @property
    def key(self) -> str:
        """Its name in config.toml, and in the environment with `CHATCLI_` before it, in capitals."""
        return self.flags[0].split("/")[0].strip("-").replace("-", "_")


BY_HEADING = {
    "Conversation": (
        Option("--thread -t ID", "Resume this thread, or create it.", "run question", complete="threads"),
        Option("--continue -c", "Continue the thread used last.", "terminal start", name="continue_"),
        Option("--resume -r", "Choose a thread from a list.", "terminal start"),
        Option("--no-save", "Keep this conversation in memory only."),
        Option("--interactive -i", "Stay in the conversation after the answer.", "terminal start"),
        Option("--system -s TEXT", "The system prompt of this thread.", "model"),
        Option("--role NAME", "Use a named system prompt; see `chat roles`.", "model", complete="roles"),
        Option("--var -v KEY=VALUE", "Set a variable of the role; repeatable.", "model", kind=list),
        Option(
            "--resume-with JSON",
            "Answer the request that the thread is waiting on. Text that is no JSON object or list is sent as text.",
            "run user question",
        ),
        Option("--store URI", "Where threads are kept: sqlite:///PATH, postgresql://... or memory:"),
    ),
    "Model": (
        Option(
            "--model -m NAME",
            "PROVIDER:MODEL, an alias, or a model of the default provider.",
            "model",
            complete="models",
        ),
        Option("--base-url URL", "An OpenAI-compatible endpoint, such as http://host/v1.", "model"),
        Option("--temperature X", "Sampling temperature.", "model", kind=float),
        Option("--max-tokens N", "Maximum length of the answer, in tokens.", "model", kind=int),
        Option("--context-tokens N", "Maximum length of the messages sent to the model, in tokens.", "model", kind=int),
        Option("--auto-compact", "Summarise the oldest turns when they no longer fit.", "model"),
        Option("--max-cost USD", "Refuse further turns of a thread that has cost more.", "model", kind=float),
        Option(
            "--timeout S",
            "Give up on a model after this many seconds of silence, retries included.",
            "chat",
            kind=float,
        ),
        Option(
            "--tweak COMPONENT.FIELD=VALUE",
            "Set a field of a component of a Langflow flow; repeatable.",
            "model",
            kind=list,
        ),
    ),
    "Input": (
        Option(
            "--file -f PATH|URL",
            'Attach a text file, image or PDF; "-" is stdin; repeatable.',
            "run user question",
            kind=list,
            complete="files",
        ),
        Option(
            "--docs PATH",
            "Answer from these documents: a folder, a file or a glob; repeatable.",
            "model run user",
            kind=list,
            complete="files",
        ),
        Option(
            "--semantic/--no-semantic",
            "Rank searches by meaning, too, or by words alone.",
            "chat",
        ),
        Option("--no-instructions", "Do not send the AGENTS.md of this folder and its parents.", "chat"),
        Option("--no-memory", "Do not send remembered facts.", "chat"),
        Option("--allow-private-urls", "Let an attached URL redirect to an address in this network."),
        Option(
            "--script FILE",
            'Ask each line as a question, all in one thread; "-" is stdin.',
            "run user question",
            complete="files",
        ),
        Option("--editing-mode MODE", "Keys of the input line: emacs or vi.", "terminal", complete="words_of"),
    ),
    "Output": (
        Option("--format FORMAT", "text, markdown, json or jsonl.", "terminal", complete="words_of"),
        Option("--json", "The same as --format json.", "terminal start"),
        Option(
            "--schema FILE",
            "Answer with JSON that is valid against this JSON Schema.",
            "model question",
            complete="files",
            name="schema_file",
        ),
        Option("--quiet -q", "Print the answer only.", "terminal"),
        Option("--color WHEN", "auto, always or never.", "terminal", complete="words_of"),
        Option("--theme NAME", "auto, dark, light or mono.", "terminal", complete="words_of"),
        Option(
            "--code-theme NAME",
            "The colours of code: auto, or a style of Pygments, such as monokai.",
            "terminal",
            complete="code_themes",
        ),
        Option("--plain", "Print the text as it arrives, without Markdown rendering.", "terminal"),
    ),
    "Tools": (
        Option("--tools/--no-tools", "Let the model use the built-in tools, or no tools at all.", "model"),
        Option("--recall", "Let the model search your past threads; it asks first.", "model"),
        Option(
            "--mcp FILE",
            "Add the MCP servers of this file; its format is that of other MCP clients.",
            "model",
            complete="files",
            name="mcp_file",
        ),
        Option(
            "--allow RULE",
            "Run matching tool calls without asking, such as 'run_shell:ls *'; repeatable.",
            "model user",
            kind=list,
        ),
        Option("--yes", "Run all tool calls without asking.", "chat user"),
        Option(
            "--auto",
            "Run confined commands, and edits in this folder, without asking.",
            "model user",
        ),
        Option("--sandbox/--no-sandbox", "Confine the commands of the model, or do not.", "model user"),
        Option("--max-steps N", "How many times the model may call tools in one turn.", "model", kind=int),
        Option("--tool-timeout S", "Give up on a tool call after this many seconds.", "model", kind=float),
    ),
    "Own graphs and servers": (
        Option(
            "--graph SPEC",
            "A LangGraph graph: path/to/file.py:name, package.module:name, or a name from ./langgraph.json.",
            "chat",
            complete="files",
        ),
        Option(
            "--context KEY=VALUE",
            "Set a field of the graph's runtime context, as JSON or text; repeatable.",
            "graph run",
            kind=list,
        ),
        Option("--configurable KEY=VALUE", 'Set a key of config["configurable"]; repeatable.', "graph run", kind=list),
        Option(
            "--input KEY=VALUE",
            "Set a key of the graph's input beside the question; repeatable.",
            "graph run",
            kind=list,
        ),
        Option("--input-key KEY", "The key of the graph's input that takes the question.", "graph"),
        Option("--output-key KEY", "The key of the graph's output that is the answer.", "graph"),
        Option(
            "--node NAME", "Take the text of this node as the answer, and stream it; repeatable.", "graph", kind=list
        ),
        Option("--share-memory", "Let the graph read remembered facts in its store.", "chat"),
        Option("--url URL", "A LangGraph server: its app answers, and it keeps the threads.", "chat"),
        Option(
            "--header NAME=VALUE", "Send this header with every request to that server; repeatable.", "chat", kind=list
        ),
        Option("--assistant NAME", "The assistant of that server; default: its first.", "chat"),
    ),
    "Other": (
        Option(
            "--helper/--no-helper",
            "Keep a helper process for five minutes, so that the next one-shot starts faster.",
            "chat user terminal",
        ),
        Option("--debug", "Print tracebacks, and what MCP servers log.", "user"),
    ),
}
"""The options by their headings in `chat --help`, in its order."""
OPTIONS = tuple(option for options in BY_HEADING.values() for option in options)
OTHER = "Other"
"""The heading of what has no row here, such as `--help`."""


def scoped(*scopes: str) -> tuple[str, ...]:
    """Return the names of the options that have one of `scopes`."""
    return tuple(option.name for option in OPTIONS if any(scope in option.scopes for scope in scopes))


VALUED = frozenset(flag for option in OPTIONS if option.metavar for flag in option.flags)
"""The options of `chat` that take a value; all others are flags."""
_BY_FLAG = {
    flag: (option, flag == first)
    for option in OPTIONS
    for first, *others in (flags.split("/") for flags in option.flags)
    for flag in (first, *others)
}
"""Each flag with its option, and whether it switches that on."""


def split(arguments: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """Yield each option of `chat ARGUMENTS` with its value, None for a flag, and each word with WORD or ESCAPED."""
    # Wrong arguments are split as well.
    rest = iter(arguments)
    for argument in rest:
        if argument == "--":
            yield from ((ESCAPED, word) for word in rest)
        elif argument == "-" or not argument.startswith("-"):
            yield WORD, argument
        elif argument.startswith("--"):
            name, equals, value = argument.partition("=")
            yield name, value if equals else next(rest, None) if name in VALUED else None
        else:
            yield from _split_short(argument, rest)


def read_plain(arguments: Sequence[str]) -> tuple[dict[str, Any], list[str]] | None:
    """Return the settings that `chat ARGUMENTS` gives, by name, and the prompt's words; None if Typer has to read it.

    It has to where there is a sub-command, `-`, an option that is no setting or lacks its value, or an unusual number.
    """
    given: dict[str, Any] = {}
    words: list[str] = []
    for flag, value in split(arguments):
        option, on = _BY_FLAG.get(flag, (None, True))
        if flag in (WORD, ESCAPED):
            words.append(value or "")
            is_first = flag == WORD and len(words) == 1
            if value == "-" or (is_first and (words[0] in SUBCOMMANDS or near_subcommand(words[0]))):
                return None
        elif option is None or "start" in option.scopes or (value is None) == bool(option.metavar):
            return None
        elif option.kind is list:
            given.setdefault(option.name, []).append(value)
        elif option.kind in (int, float) and value is not None:
            digits = value.replace(".", "", 1) if option.kind is float else value
            if not (digits.isascii() and digits.isdecimal() and len(digits) <= _MAX_DIGITS):
                return None
            given[option.name] = option.kind(value)
        else:
            given[option.name] = on if value is None else value
    return None if given.keys() >= {"system", "role"} else (given, words)  # these options exclude each other


def near_subcommand(word: str, names: Sequence[str] = SUBCOMMANDS) -> str:
    """Return the sub-command of `names` that `word` seems to mistype; empty if it is one, or is like none."""
    if word in names or not word.isalpha():
        return ""
    from difflib import get_close_matches  # which few runs need

    return next(iter(get_close_matches(word.lower(), names, n=1, cutoff=_LIKENESS)), "")


def _split_short(argument: str, rest: Iterator[str]) -> Iterator[tuple[str, str | None]]:
    """Yield the options of one letter that `argument` joins, as in `-ci`; the last one may take a value."""
    for index, letter in enumerate(argument[1:], 1):
        name = f"-{letter}"
        if name in VALUED:
            yield name, argument[index + 1 :] or next(rest, None)
            return
        yield name, None
