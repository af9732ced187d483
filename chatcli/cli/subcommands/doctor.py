"""`chat doctor`: what is installed, configured and reachable."""

import dataclasses
import os
import sys
from typing import Annotated, Any

import typer

from chatcli.cli.load_settings import load_settings
from chatcli.cli.subcommands.diagnosis import Finding, examine
from chatcli.cli.subcommands.output import AsJson, print_as_json
from chatcli.config.settings import FORMATS, Settings
from chatcli.conversation.place import choose_place
from chatcli.conversation.stored_threads import repair_store
from chatcli.errors import ChatcliError, ExitCode
from chatcli.events import Listing, Notice
from chatcli.rendering.build import build_renderer
from chatcli.sanitize import sanitize_line

app = typer.Typer(rich_markup_mode=None, add_completion=False)

Repair = Annotated[
    bool, typer.Option("--repair", help="Rebuild the store's index; keep what can be read of a damaged one.")
]


@app.command()
def doctor(ctx: typer.Context, as_json: AsJson = False, repair: Repair = False) -> None:
    """Show what is installed, configured and reachable, each with its remedy."""
    options: dict[str, Any] = ctx.find_object(dict) or {}
    repaired: list[str] = []
    try:
        settings = load_settings(options)
    except ChatcliError as error:
        asked: Any = options.get("format") or os.environ.get("CHATCLI_FORMAT")
        settings = Settings(format=asked if asked in FORMATS else None)
        findings = [Finding("settings", "problem", error.message, error.remedy)]
    else:
        if repair:
            repaired = repair_store(choose_place(settings))
        findings = [_cleaned(finding, settings) for finding in examine(settings)]
    for line in repaired:
        print(sanitize_line(line), file=sys.stderr)
    if not print_as_json([dataclasses.asdict(finding) for finding in findings], settings.format, as_json):
        renderer = build_renderer(settings)
        rows = tuple((finding.subject, finding.state, finding.detail) for finding in findings)
        renderer.render(Listing("Doctor", ("what", "state", "detail"), rows))
        for finding in findings:
            if finding.remedy:
                renderer.render(Notice(f"{finding.subject}: {finding.remedy}", "warning"))
        renderer.close()
    if any(finding.state == "problem" for finding in findings):
        raise typer.Exit(ExitCode.INTERNAL)


def _cleaned(finding: Finding, settings: Settings) -> Finding:
    """Return `finding` without any key, whatever a server or a library said."""
    return dataclasses.replace(
        finding, detail=settings.credentials.redact(finding.detail), remedy=settings.credentials.redact(finding.remedy)
    )
