"""`chat models`: the models that can be used."""

from dataclasses import asdict
from typing import Annotated

import typer

from chatcli.cli.grammar.completion import offer
from chatcli.cli.subcommands.output import AsJson, command_group, settings_of, show_or_print_json
from chatcli.config.files import set_value
from chatcli.config.settings import Settings
from chatcli.events import Listing
from chatcli.models.local.weights import find_weights
from chatcli.models.names import ModelName, check_alias, parse_model, resolve_model
from chatcli.models.usable import UsableModel, usable_models
from chatcli.providers import LANGFLOW, LOCAL
from chatcli.rendering.build import build_renderer
from chatcli.rendering.renderer import Renderer

app = command_group("List models, and choose the default.")

Name = Annotated[
    str,
    typer.Argument(
        metavar="MODEL", help="provider:model, an alias, or a model's name.", autocompletion=offer("models")
    ),
]


@app.command("list")
def list_(ctx: typer.Context, as_json: AsJson = False) -> None:
    """List the usable models; the default one is marked."""
    settings = settings_of(ctx)
    usable = usable_models(settings)
    rows = tuple(
        (model.alias or str(model.name), "default" if model.default else "", _source(model)) for model in usable
    )
    table = Listing("Models", ("model", "", "from"), rows)
    show_or_print_json(settings, [_as_json(model) for model in usable], table, as_json=as_json)


@app.command()
def langflow(ctx: typer.Context, as_json: AsJson = False) -> None:
    """List the flows of the Langflow server.

    LANGFLOW_URL names the server; by default it is http://localhost:7860.
    """
    from chatcli.models.langflow_server import LangflowServer

    settings = settings_of(ctx)
    flows = LangflowServer.of(settings).flows()
    found = [{"model": f"{LANGFLOW}:{flow.handle}", **asdict(flow)} for flow in flows]
    rows = tuple((f"{LANGFLOW}:{flow.handle}", flow.name, flow.description) for flow in flows)
    show_or_print_json(settings, found, Listing("Flows", ("model", "name", "description"), rows), as_json=as_json)


@app.command()
def default(ctx: typer.Context, name: Name) -> None:
    """Make MODEL the default: written to config.toml."""
    model = resolve_model(name, settings_of(ctx))
    set_value(("model",), name if name in settings_of(ctx).aliases else str(model))
    print(f"the default model is {model}")


@app.command()
def alias(ctx: typer.Context, short: Annotated[str, typer.Argument(metavar="NAME")], model: Name) -> None:
    """Make NAME an alias of MODEL: written to config.toml."""
    check_alias(short)
    full = resolve_model(model, settings_of(ctx))
    set_value(("aliases", short), str(full))
    print(f"{short} is now an alias of {full}")


def _as_json(model: UsableModel) -> dict[str, object]:
    return {
        "model": str(model.name),
        "alias": model.alias,
        "default": model.default,
        "source": model.source,
        "download_bytes": model.download_bytes,
    }


def _source(model: UsableModel) -> str:
    return f"alias of {model.name}" if model.alias else model.source


@app.command()
def pull(
    ctx: typer.Context,
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="local, or a local model such as local:smollm2-135m.",
            autocompletion=offer("local_models"),
        ),
    ],
) -> None:
    """Fetch the weights of a local model before its first use."""
    settings = settings_of(ctx)
    name = parse_model(model, custom_server=False)
    if name.provider != LOCAL:
        raise typer.BadParameter(f"only local models can be fetched, not {name}")
    renderer = build_renderer(settings)
    try:
        pull_local_model(name, settings, renderer)
    finally:
        renderer.close()


def pull_local_model(name: ModelName, settings: Settings, renderer: Renderer) -> None:
    """Fetch the weights of the local model `name`, unless the cache has them.

    Raises:
        ChatcliError: No source could be reached, or the disk is full.

    """
    from chatcli.models.local.fetch import fetch

    fetch(find_weights(name.model), override=settings.local_model, on_progress=renderer.render)
