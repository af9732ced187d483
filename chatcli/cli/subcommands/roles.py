"""`chat roles`: named system prompts with variables."""

from typing import Annotated

import typer

from chatcli import paths
from chatcli.cli.grammar.completion import offer
from chatcli.cli.subcommands import output as common
from chatcli.cli.subcommands.output import AsJson, command_group
from chatcli.errors import UsageError
from chatcli.events import Listing
from chatcli.roles import SHIPPED, Role, find_role, own_file, read_role, role_files
from chatcli.runtime.editor import edit_in_editor
from chatcli.runtime.files import replace_privately
from chatcli.sanitize import sanitize
from chatcli.text import tell

HELP = """Named system prompts with variables.

A role is a file in the folder `roles` beside config.toml, named after the role: NAME.toml with the keys system,
description, variables (a table of names and their defaults), model and temperature; or NAME.md, whose text is the
system prompt, the other keys standing before it between two lines of +++. In the prompt, {name} stands for a variable,
{{ and }} for braces.
"""
TEMPLATE = '''description = ""
system = """
You are a helpful assistant. Answer in {language}.
"""

[variables]
language = "English"
'''

app = command_group(HELP)

_NAME_HELP = "The role's name; capitals do not matter."
Name = Annotated[str, typer.Argument(metavar="NAME", help=_NAME_HELP, autocompletion=offer("roles"))]
OwnName = Annotated[str, typer.Argument(metavar="NAME", help=_NAME_HELP, autocompletion=offer("own_roles"))]


@app.command("list")
def list_(ctx: typer.Context, as_json: AsJson = False) -> None:
    """List the roles."""
    settings = common.settings_of(ctx)
    found = []
    for path in role_files().values():
        try:
            found.append(read_role(path, shipped=path.parent == SHIPPED))
        except UsageError as problem:  # one broken file must not hide the others
            tell(f"warning: {sanitize(problem.message)}")
    rows = tuple(
        (role.name, ", ".join(role.variables), "shipped" if role.shipped else "yours", role.description)
        for role in found
    )
    table = Listing("Roles", ("name", "variables", "whose", "what it does"), rows)
    common.show_or_print_json(settings, [_as_json(role) for role in found], table, as_json=as_json)


@app.command()
def show(ctx: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Show a role: its prompt, its variables and their defaults."""
    role, settings = find_role(name), common.settings_of(ctx)
    if common.wants_json(settings, as_json=as_json):
        common.print_json(settings, _as_json(role), as_json=as_json)
    else:
        print(role.path.read_text(encoding="utf-8").rstrip("\n"))


@app.command()
def edit(name: Name) -> None:
    """Edit a role in $VISUAL or $EDITOR.

    The role is a new one, yours, or your copy of a shipped one.
    """
    path = own_file(name)
    if not path.exists():
        shipped = role_files().get(path.stem)
        path = path if shipped is None else path.with_suffix(shipped.suffix)
        paths.private_dir(paths.private_dir(paths.config_dir()) / "roles")
        replace_privately(path, [TEMPLATE if shipped is None else shipped.read_text("utf-8")])
    edit_in_editor(path)
    read_role(path)
    print(path)


@app.command()
def delete(name: OwnName) -> None:
    """Delete one of your roles.

    A shipped role of that name can be used again.
    """
    path = own_file(name)
    if not path.exists():
        find_role(name)
        raise UsageError(f"the role {name!r} is shipped with chatcli and can't be deleted")
    path.unlink()
    print(f"deleted {path}")


def _as_json(role: Role) -> dict[str, object]:
    return {
        "name": role.name,
        "description": role.description,
        "system": role.template,
        "variables": {name: role.defaults.get(name) for name in role.variables},
        "model": role.model,
        "temperature": role.temperature,
        "shipped": role.shipped,
        "path": str(role.path),
    }
