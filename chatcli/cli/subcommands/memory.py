"""`chat memory`: the facts that go along with questions."""

from typing import Annotated

import typer

from chatcli.cli.subcommands.output import AsJson, command_group, settings_of, show_or_print_json
from chatcli.memory import facts
from chatcli.runtime.editor import edit_in_editor
from chatcli.text import tell

app = command_group("List, add, edit and forget remembered facts.")

_PROJECT_HELP = "About the repository of the current folder, not about yourself."
Project = Annotated[bool, typer.Option("--project", help=_PROJECT_HELP)]
Words = Annotated[list[str], typer.Argument(metavar="TEXT...", help="The fact, a sentence.")]
Numbers = Annotated[list[int], typer.Argument(metavar="N...", help="The numbers that `chat memory list` shows.")]


@app.command("list")
def list_(ctx: typer.Context, as_json: AsJson = False) -> None:
    """List all that is remembered, about you and every project."""
    settings, found = settings_of(ctx), facts.all_facts()
    values = [
        {
            "number": number,
            "text": fact.text,
            "about": "project" if fact.project else "user",
            "project": fact.project or None,
            "path": str(fact.path),
        }
        for number, fact in enumerate(found, 1)
    ]
    show_or_print_json(settings, values, facts.listing(found), as_json=as_json)
    if settings.no_memory:
        tell("note: the memory is off; `chat memory on` sends facts again")


@app.command()
def add(words: Words, project: Project = False) -> None:
    """Remember a fact about yourself, or about the project."""
    print(f"remembered: {facts.add(' '.join(words), facts.chosen_file(project=project)).text}")


@app.command()
def edit(project: Project = False) -> None:
    """Open the file of facts in your editor; each bullet is a fact."""
    edit_in_editor(facts.prepare(facts.chosen_file(project=project)))


@app.command()
def forget(numbers: Numbers) -> None:
    """Remove facts by their numbers."""
    for fact in facts.forget(numbers):
        print(f"forgotten: {fact.text}")


@app.command()
def off() -> None:
    """Send no facts from now on; they are kept."""
    facts.switch(on=False)
    print("the memory is off; `chat memory on` ends that")


@app.command()
def on() -> None:
    """Send facts again."""
    facts.switch(on=True)
    print("the memory is on")
