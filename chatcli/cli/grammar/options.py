"""The options of `chat`, each declared once: its flags, its help.

Their values go to `Settings` by their parameters' names; None means not given.
"""

from pathlib import Path
from typing import Annotated

import typer

from chatcli.cli.grammar import completion as complete

Thread = Annotated[
    str | None,
    typer.Option("--thread", "-t", metavar="ID", help="Create or resume this thread.", autocompletion=complete.threads),
]
Continue = Annotated[bool, typer.Option("--continue", "-c", help="Continue the thread used last.")]
Resume = Annotated[bool, typer.Option("--resume", "-r", help="Pick a thread from a list.")]
NoSave = Annotated[bool | None, typer.Option("--no-save", help="Keep this conversation in memory only.")]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        metavar="NAME",
        help="provider:model, or a model of the default provider.",
        autocompletion=complete.models,
    ),
]
BaseUrl = Annotated[
    str | None,
    typer.Option("--base-url", metavar="URL", help="An OpenAI-compatible endpoint, e.g. http://host/v1."),
]
Role = Annotated[
    str | None,
    typer.Option("--role", metavar="NAME", help="A named system prompt: `chat roles`.", autocompletion=complete.roles),
]
Var = Annotated[
    list[str] | None, typer.Option("--var", "-v", metavar="KEY=VALUE", help="A variable of the role; repeatable.")
]
System = Annotated[str | None, typer.Option("--system", "-s", metavar="TEXT", help="System prompt for this thread.")]
Temperature = Annotated[float | None, typer.Option("--temperature", metavar="X", help="How freely the model words.")]
MaxTokens = Annotated[
    int | None, typer.Option("--max-tokens", metavar="N", help="The answer's greatest length, in tokens.")
]
ContextTokens = Annotated[
    int | None, typer.Option("--context-tokens", metavar="N", help="Budget of what is sent, in tokens.")
]
Tweak = Annotated[
    list[str] | None,
    typer.Option(
        "--tweak", metavar="COMPONENT.FIELD=VALUE", help="Set a field of a Langflow flow's component; repeatable."
    ),
]
AutoCompact = Annotated[
    bool | None, typer.Option("--auto-compact", help="Sum up the oldest turns when they no longer fit.")
]
Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="FORMAT",
        help="text, markdown, json or jsonl.",
        show_default=False,
        autocompletion=complete.values_of("format"),
    ),
]
Json = Annotated[bool, typer.Option("--json", help="The same as --format json.")]
Store = Annotated[
    str | None,
    typer.Option("--store", metavar="URI", help="Where threads are kept: sqlite:///path, postgresql://... or memory:."),
]
Url = Annotated[
    str | None,
    typer.Option("--url", metavar="URL", help="A LangGraph server; its app answers, and the threads are there."),
]
Assistant = Annotated[
    str | None,
    typer.Option("--assistant", metavar="NAME", help="Who answers on that server; by default, its first assistant."),
]
File = Annotated[
    list[str] | None,
    typer.Option(
        "--file",
        "-f",
        metavar="PATH|URL",
        help='Attach a text file, image or PDF (repeatable); "-": stdin.',
        autocompletion=complete.files,
    ),
]
AllowPrivateUrls = Annotated[
    bool | None,
    typer.Option("--allow-private-urls", help="Let an attached URL redirect to an address of this network."),
]
Script = Annotated[
    str | None,
    typer.Option(
        "--script",
        metavar="FILE",
        help='Ask one question a line, in one thread; "-": stdin.',
        autocompletion=complete.files,
    ),
]
Schema = Annotated[
    Path | None,
    typer.Option(
        "--schema",
        metavar="FILE",
        help="JSON Schema: the answer is JSON that validates against it.",
        autocompletion=complete.files,
    ),
]
Graph = Annotated[
    str | None,
    typer.Option(
        "--graph",
        metavar="SPEC",
        help="A LangGraph graph: path/to/file.py:name, package.module:name, or a name from ./langgraph.json.",
        autocompletion=complete.files,
    ),
]
ResumeWith = Annotated[
    str | None,
    typer.Option(
        "--resume-with",
        metavar="JSON",
        help="Answer what the --thread waits for: JSON where it parses as an object or a list, else text.",
    ),
]
Interactive = Annotated[bool, typer.Option("--interactive", "-i", help="Answer, then stay in the conversation.")]
Quiet = Annotated[bool | None, typer.Option("--quiet", "-q", help="Show the answer only.")]
Color = Annotated[
    str | None,
    typer.Option("--color", metavar="WHEN", help="auto, always or never.", autocompletion=complete.values_of("color")),
]
Theme = Annotated[
    str | None,
    typer.Option(
        "--theme", metavar="NAME", help="auto, dark, light or mono.", autocompletion=complete.values_of("theme")
    ),
]
EditingMode = Annotated[
    str | None,
    typer.Option(
        "--editing-mode",
        metavar="MODE",
        help="Keys of the input line: emacs or vi.",
        autocompletion=complete.values_of("editing_mode"),
    ),
]
Plain = Annotated[bool | None, typer.Option("--plain", help="Show the text as it comes, without Markdown rendering.")]
Timeout = Annotated[
    float | None,
    typer.Option(
        "--timeout", metavar="S", help="Seconds of silence, retries included, after which a model is given up."
    ),
]
Tools = Annotated[
    bool | None,
    typer.Option(
        "--tools/--no-tools", help="Let the model use the built-in tools; or no tool at all.", show_default=False
    ),
]
Mcp = Annotated[
    Path | None,
    typer.Option(
        "--mcp",
        metavar="FILE",
        help="More MCP servers, in the JSON of other clients.",
        autocompletion=complete.files,
    ),
]
Allow = Annotated[
    list[str] | None,
    typer.Option("--allow", metavar="RULE", help="Run such calls unasked, e.g. 'run_shell:git *' (repeatable)."),
]
Yes = Annotated[bool | None, typer.Option("--yes", help="Run every call of a tool unasked.")]
MaxSteps = Annotated[
    int | None, typer.Option("--max-steps", metavar="N", help="How often the model may call tools in a turn.")
]
ToolTimeout = Annotated[
    float | None, typer.Option("--tool-timeout", metavar="S", help="Seconds after which a call of a tool is given up.")
]
Helper = Annotated[
    bool | None,
    typer.Option(
        "--helper/--no-helper",
        help="Leave a process behind for five minutes, which makes the next one-shot start faster.",
        show_default=False,
    ),
]
Debug = Annotated[bool | None, typer.Option("--debug", help="Show tracebacks.")]
