"""The options of `chat`, each declared once: its names, its help text and its heading in `chat --help`.

Their values go to `Settings` under their parameters' names; None means not given.
"""

from pathlib import Path
from typing import Annotated

import typer

from chatcli.cli.grammar.completion import offer, offer_files

CONVERSATION = "Conversation"
MODEL = "Model"
INPUT = "Input"
OUTPUT = "Output"
TOOLS = "Tools"
GRAPHS = "Own graphs and servers"
OTHER = "Other"
HEADINGS = (CONVERSATION, MODEL, INPUT, OUTPUT, TOOLS, GRAPHS, OTHER)
"""The headings of `chat --help`, in their order; an option without one is listed under the last."""

Thread = Annotated[
    str | None,
    typer.Option(
        "--thread",
        "-t",
        metavar="ID",
        help="Resume this thread, or create it.",
        rich_help_panel=CONVERSATION,
        autocompletion=offer("threads"),
    ),
]
Continue = Annotated[
    bool, typer.Option("--continue", "-c", help="Continue the thread used last.", rich_help_panel=CONVERSATION)
]
Resume = Annotated[
    bool, typer.Option("--resume", "-r", help="Choose a thread from a list.", rich_help_panel=CONVERSATION)
]
NoSave = Annotated[
    bool | None,
    typer.Option("--no-save", help="Keep this conversation in memory only.", rich_help_panel=CONVERSATION),
]
Interactive = Annotated[
    bool,
    typer.Option(
        "--interactive", "-i", help="Stay in the conversation after the answer.", rich_help_panel=CONVERSATION
    ),
]
System = Annotated[
    str | None,
    typer.Option(
        "--system", "-s", metavar="TEXT", help="The system prompt of this thread.", rich_help_panel=CONVERSATION
    ),
]
Role = Annotated[
    str | None,
    typer.Option(
        "--role",
        metavar="NAME",
        help="Use a named system prompt; see `chat roles`.",
        rich_help_panel=CONVERSATION,
        autocompletion=offer("roles"),
    ),
]
Var = Annotated[
    list[str] | None,
    typer.Option(
        "--var", "-v", metavar="KEY=VALUE", help="Set a variable of the role; repeatable.", rich_help_panel=CONVERSATION
    ),
]
ResumeWith = Annotated[
    str | None,
    typer.Option(
        "--resume-with",
        metavar="JSON",
        help="Answer the request that the thread is waiting on. Text that is no JSON object or list is sent as text.",
        rich_help_panel=CONVERSATION,
    ),
]
Store = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="URI",
        help="Where threads are kept: sqlite:///PATH, postgresql://... or memory:",
        rich_help_panel=CONVERSATION,
    ),
]

Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        metavar="NAME",
        help="PROVIDER:MODEL, an alias, or a model of the default provider.",
        rich_help_panel=MODEL,
        autocompletion=offer("models"),
    ),
]
BaseUrl = Annotated[
    str | None,
    typer.Option(
        "--base-url",
        metavar="URL",
        help="An OpenAI-compatible endpoint, such as http://host/v1.",
        rich_help_panel=MODEL,
    ),
]
Temperature = Annotated[
    float | None, typer.Option("--temperature", metavar="X", help="Sampling temperature.", rich_help_panel=MODEL)
]
MaxTokens = Annotated[
    int | None,
    typer.Option("--max-tokens", metavar="N", help="Maximum length of the answer, in tokens.", rich_help_panel=MODEL),
]
ContextTokens = Annotated[
    int | None,
    typer.Option(
        "--context-tokens",
        metavar="N",
        help="Maximum length of the messages sent to the model, in tokens.",
        rich_help_panel=MODEL,
    ),
]
MaxCost = Annotated[
    float | None,
    typer.Option(
        "--max-cost",
        metavar="USD",
        help="Refuse further turns of a thread that has cost more.",
        rich_help_panel=MODEL,
    ),
]
AutoCompact = Annotated[
    bool | None,
    typer.Option("--auto-compact", help="Summarise the oldest turns when they no longer fit.", rich_help_panel=MODEL),
]
Timeout = Annotated[
    float | None,
    typer.Option(
        "--timeout",
        metavar="S",
        help="Give up on a model after this many seconds of silence, retries included.",
        rich_help_panel=MODEL,
    ),
]
Tweak = Annotated[
    list[str] | None,
    typer.Option(
        "--tweak",
        metavar="COMPONENT.FIELD=VALUE",
        help="Set a field of a component of a Langflow flow; repeatable.",
        rich_help_panel=MODEL,
    ),
]

File = Annotated[
    list[str] | None,
    typer.Option(
        "--file",
        "-f",
        metavar="PATH|URL",
        help='Attach a text file, image or PDF; "-" is stdin; repeatable.',
        rich_help_panel=INPUT,
        autocompletion=offer_files,
    ),
]
Docs = Annotated[
    list[str] | None,
    typer.Option(
        "--docs",
        metavar="PATH",
        help="Answer from these documents: a folder, a file or a glob; repeatable.",
        rich_help_panel=INPUT,
        autocompletion=offer_files,
    ),
]
NoInstructions = Annotated[
    bool | None,
    typer.Option(
        "--no-instructions", help="Do not send the AGENTS.md of this folder and its parents.", rich_help_panel=INPUT
    ),
]
NoMemory = Annotated[
    bool | None, typer.Option("--no-memory", help="Do not send remembered facts.", rich_help_panel=INPUT)
]
ShareMemory = Annotated[
    bool | None,
    typer.Option("--share-memory", help="Let the graph read remembered facts in its store.", rich_help_panel=GRAPHS),
]
AllowPrivateUrls = Annotated[
    bool | None,
    typer.Option(
        "--allow-private-urls",
        help="Let an attached URL redirect to an address in this network.",
        rich_help_panel=INPUT,
    ),
]
Script = Annotated[
    str | None,
    typer.Option(
        "--script",
        metavar="FILE",
        help='Ask each line as a question, all in one thread; "-" is stdin.',
        rich_help_panel=INPUT,
        autocompletion=offer_files,
    ),
]
EditingMode = Annotated[
    str | None,
    typer.Option(
        "--editing-mode",
        metavar="MODE",
        help="Keys of the input line: emacs or vi.",
        rich_help_panel=INPUT,
        autocompletion=offer("words_of", "editing_mode"),
    ),
]

Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="FORMAT",
        help="text, markdown, json or jsonl.",
        show_default=False,
        rich_help_panel=OUTPUT,
        autocompletion=offer("words_of", "format"),
    ),
]
Json = Annotated[bool, typer.Option("--json", help="The same as --format json.", rich_help_panel=OUTPUT)]
Schema = Annotated[
    Path | None,
    typer.Option(
        "--schema",
        metavar="FILE",
        help="Answer with JSON that is valid against this JSON Schema.",
        rich_help_panel=OUTPUT,
        autocompletion=offer_files,
    ),
]
Quiet = Annotated[bool | None, typer.Option("--quiet", "-q", help="Print the answer only.", rich_help_panel=OUTPUT)]
Color = Annotated[
    str | None,
    typer.Option(
        "--color",
        metavar="WHEN",
        help="auto, always or never.",
        rich_help_panel=OUTPUT,
        autocompletion=offer("words_of", "color"),
    ),
]
Theme = Annotated[
    str | None,
    typer.Option(
        "--theme",
        metavar="NAME",
        help="auto, dark, light or mono.",
        rich_help_panel=OUTPUT,
        autocompletion=offer("words_of", "theme"),
    ),
]
CodeTheme = Annotated[
    str | None,
    typer.Option(
        "--code-theme",
        metavar="NAME",
        help="The colours of code: auto, or a style of Pygments, such as monokai.",
        rich_help_panel=OUTPUT,
        autocompletion=offer("code_themes"),
    ),
]
Plain = Annotated[
    bool | None,
    typer.Option("--plain", help="Print the text as it arrives, without Markdown rendering.", rich_help_panel=OUTPUT),
]

Tools = Annotated[
    bool | None,
    typer.Option(
        "--tools/--no-tools",
        help="Let the model use the built-in tools, or no tools at all.",
        show_default=False,
        rich_help_panel=TOOLS,
    ),
]
Recall = Annotated[
    bool | None,
    typer.Option("--recall", help="Let the model search your past threads; it asks first.", rich_help_panel=TOOLS),
]
Mcp = Annotated[
    Path | None,
    typer.Option(
        "--mcp",
        metavar="FILE",
        help="Add the MCP servers of this file; its format is that of other MCP clients.",
        rich_help_panel=TOOLS,
        autocompletion=offer_files,
    ),
]
Allow = Annotated[
    list[str] | None,
    typer.Option(
        "--allow",
        metavar="RULE",
        help="Run matching tool calls without asking, such as 'run_shell:git *'; repeatable.",
        rich_help_panel=TOOLS,
    ),
]
Yes = Annotated[bool | None, typer.Option("--yes", help="Run all tool calls without asking.", rich_help_panel=TOOLS)]
MaxSteps = Annotated[
    int | None,
    typer.Option(
        "--max-steps", metavar="N", help="How often the model may call tools in one turn.", rich_help_panel=TOOLS
    ),
]
ToolTimeout = Annotated[
    float | None,
    typer.Option(
        "--tool-timeout", metavar="S", help="Give up on a tool call after this many seconds.", rich_help_panel=TOOLS
    ),
]

Graph = Annotated[
    str | None,
    typer.Option(
        "--graph",
        metavar="SPEC",
        help="A LangGraph graph: path/to/file.py:name, package.module:name, or a name from ./langgraph.json.",
        rich_help_panel=GRAPHS,
        autocompletion=offer_files,
    ),
]
Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        metavar="URL",
        help="A LangGraph server: its app answers, and it keeps the threads.",
        rich_help_panel=GRAPHS,
    ),
]
Assistant = Annotated[
    str | None,
    typer.Option(
        "--assistant", metavar="NAME", help="The assistant of that server; default: its first.", rich_help_panel=GRAPHS
    ),
]
Context = Annotated[
    list[str] | None,
    typer.Option(
        "--context",
        metavar="KEY=VALUE",
        help="Set a field of the graph's runtime context, as JSON or text; repeatable.",
        rich_help_panel=GRAPHS,
    ),
]
Configurable = Annotated[
    list[str] | None,
    typer.Option(
        "--configurable",
        metavar="KEY=VALUE",
        help='Set a key of config["configurable"]; repeatable.',
        rich_help_panel=GRAPHS,
    ),
]
Input = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        metavar="KEY=VALUE",
        help="Set a key of the graph's input beside the question; repeatable.",
        rich_help_panel=GRAPHS,
    ),
]
InputKey = Annotated[
    str | None,
    typer.Option(
        "--input-key",
        metavar="KEY",
        help="The key of the graph's input that takes the question.",
        rich_help_panel=GRAPHS,
    ),
]
OutputKey = Annotated[
    str | None,
    typer.Option(
        "--output-key",
        metavar="KEY",
        help="The key of the graph's output that is the answer.",
        rich_help_panel=GRAPHS,
    ),
]

Helper = Annotated[
    bool | None,
    typer.Option(
        "--helper/--no-helper",
        help="Keep a helper process for five minutes, so that the next one-shot starts faster.",
        show_default=False,
        rich_help_panel=OTHER,
    ),
]
Debug = Annotated[
    bool | None,
    typer.Option("--debug", help="Print tracebacks, and what MCP servers log.", rich_help_panel=OTHER),
]
