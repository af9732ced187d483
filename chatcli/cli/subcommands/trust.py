"""`chat trust`: show the files of a folder and remember that the user trusts them."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from chatcli.cli.grammar.completion import offer_files
from chatcli.cli.load_settings import described_servers, shown_settings
from chatcli.cli.subcommands.output import AsJson, Yes, confirm, has_terminal, options_of, show, show_or_print_json
from chatcli.config import trust as store
from chatcli.config.files import parse_dotenv
from chatcli.config.mcp_servers import parse_servers
from chatcli.config.settings import Settings
from chatcli.errors import StoreError, UsageError
from chatcli.events import Listing
from chatcli.memory.instructions import shown_lines
from chatcli.sanitize import reveal
from chatcli.text import tell

app = typer.Typer(rich_markup_mode=None, add_completion=False)

_FOLDER_HELP = "The folder; by default the current one."
Folder = Annotated[Path | None, typer.Argument(metavar="[DIR]", help=_FOLDER_HELP, autocompletion=offer_files)]
List = Annotated[bool, typer.Option("--list", help="List what is trusted.")]
Remove = Annotated[bool, typer.Option("--remove", help="Stop trusting the folder.")]


@app.command()
def trust(
    ctx: typer.Context,
    folder: Folder = None,
    list_: List = False,
    remove: Remove = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Trust the files of a folder until they change: show what they set, and ask."""
    settings = Settings().with_options(options_of(ctx))
    if list_ + remove + yes > 1 or (list_ and folder is not None):
        raise UsageError("--list, --remove, --yes and a folder to list exclude each other", remedy="Give one of them.")
    if as_json and not list_:
        raise UsageError("--json is for --list", remedy="chat trust --list --json")
    if list_:
        _list(settings, as_json=as_json)
        return
    resolved = (folder or Path()).expanduser().resolve()
    try:
        if remove:
            if not store.forget(resolved):
                raise UsageError(f"{resolved} is not trusted", remedy="See `chat trust --list`.")
            tell(f"{reveal(str(resolved))} is not trusted any more")
        else:
            _trust(settings, resolved, yes=yes)
    except OSError as error:
        raise StoreError(f"{store.state_path()} can't be written: {error.strerror}") from None


def _trust(settings: Settings, folder: Path, *, yes: bool) -> None:
    files = _read(folder)
    if not files:
        tell(f"{reveal(str(folder))} has no file to trust: {', '.join(store.FILES)}")
        return
    _show(settings, files)
    if all(map(_is_trusted, files)):
        tell(f"{reveal(str(folder))} is trusted already")
        return
    if not yes:
        if not has_terminal():
            raise UsageError("there is no terminal to ask whether to trust this", remedy="Confirm it with --yes.")
        confirm(f"Trust {reveal(str(folder))}, as long as these files do not change?")
    store.trust(files)
    tell(f"{reveal(str(folder))} is trusted")


def _read(folder: Path) -> list[store.FolderFile]:
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}")
    try:
        names = dict.fromkeys((*store.FILES, store.env_of_project(folder)))
        files = store.read_folder(folder, [name for name in names if name])
        for file in files:
            if file.name == store.MCP_FILE:
                parse_servers(file.content, folder / file.name)
            elif file.name not in store.INSTRUCTIONS:
                parse_dotenv(file.content)
    except ValueError as error:
        raise UsageError(f"a file of {folder} can't be trusted: {error}") from None
    except OSError as error:
        raise UsageError(f"{error.filename or folder} can't be read: {error.strerror}") from None
    return files


def _show(settings: Settings, files: Sequence[store.FolderFile]) -> None:
    for file in files:
        if file.name in store.INSTRUCTIONS:
            print(f"{reveal(str(file.folder / file.name))}: instructions for the model")
            print("\n".join(f"  {line}" for line in shown_lines(file)))
            continue
        if file.name == store.MCP_FILE:
            path = file.folder / file.name
            print(f"{reveal(str(path))}: MCP servers that are started and connected to")
            servers = parse_servers(file.content, path, confined_in=str(file.folder) if settings.sandbox else "")
            print("\n".join(described_servers(servers)))
            continue
        for_graphs = file.name == store.env_of_project(file.folder)
        rows = tuple(shown_settings(parse_dotenv(file.content), for_graphs=for_graphs))
        show(settings, Listing(str(file.folder / file.name), ("variable", "value", "note"), rows))


def _is_trusted(file: store.FolderFile) -> bool:
    try:
        return store.trusted_folders().get(str(file.folder), {}).get(file.name) == file.digest
    except (OSError, ValueError) as error:
        tell(f"note: {store.state_path()} can't be read and begins again: {error}")
        return False


def _list(settings: Settings, *, as_json: bool) -> None:
    try:
        folders = store.trusted_folders()
    except (OSError, ValueError) as error:
        tell(f"note: nothing is trusted, since {store.state_path()} can't be read: {error}")
        folders = {}
    found = {folder: [_described(folder, *one) for one in files.items()] for folder, files in folders.items()}
    rows = tuple((folder, file["name"], file["state"]) for folder, files in found.items() for file in files)
    table = Listing("Trusted", ("folder", "file", "state"), rows)
    values = [{"folder": folder, "files": files} for folder, files in found.items()]
    show_or_print_json(settings, values, table, as_json=as_json)


def _described(folder: str, name: str, digest: str) -> dict[str, str]:
    state = "changed"
    with suppress(OSError, ValueError):
        file = store.read_folder_file(name, Path(folder))
        state = "missing" if file is None else "trusted" if file.digest == digest else state
    return {"name": name, "sha256": digest, "state": state}
