"""`chat models`: the models that can be used."""

from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from chatcli.cli.grammar.completion import offer
from chatcli.cli.subcommands.output import AsJson, command_group, settings_of, show_or_print_json
from chatcli.config.files import set_value
from chatcli.config.providers import LANGFLOW, LOCAL
from chatcli.config.settings import Settings
from chatcli.errors import UsageError
from chatcli.events import Listing, Notice
from chatcli.models.local import pulled
from chatcli.models.local.choice import describe_fetch
from chatcli.models.local.runtime import Runtime, is_taken
from chatcli.models.local.weights import KNOWN_WEIGHTS
from chatcli.models.names import LOCAL_MODELS, check_alias, resolve_model
from chatcli.models.usable import UsableModel, usable_models
from chatcli.rendering.build import build_renderer

app = command_group("List models, and choose the default.")

_NAME_HELP = "provider:model, an alias, or a model's name."
_LOCAL_HELP = "A local model (local, local:smollm2-135m), hf:OWNER/REPO/FILE.gguf, or the path of a GGUF file."
Name = Annotated[str, typer.Argument(metavar="MODEL", help=_NAME_HELP, autocompletion=offer("models"))]
Local = Annotated[str, typer.Argument(metavar="MODEL", help=_LOCAL_HELP, autocompletion=offer("local_models"))]
Names = Annotated[
    list[str], typer.Argument(metavar="NAME...", help="Local models.", autocompletion=offer("local_models"))
]


@app.command("list")
def list_(ctx: typer.Context, as_json: AsJson = False) -> None:
    """List the usable models; the default one is marked."""
    settings = settings_of(ctx)
    usable, rows = usable_models(settings), []
    for model in usable:
        source = f"alias of {model.name}" if model.alias else model.source
        rows.append((model.alias or str(model.name), "default" if model.default else "", source))
    table = Listing("Models", ("model", "", "from"), tuple(rows))
    show_or_print_json(settings, [_as_json(model) for model in usable], table, as_json=as_json)


@app.command()
def langflow(ctx: typer.Context, as_json: AsJson = False) -> None:
    """List the flows of the Langflow server.

    LANGFLOW_URL names the server; by default it is http://localhost:7860.
    """
    from chatcli.models.langflow_server import LangflowServer

    settings = settings_of(ctx)
    flows = LangflowServer.of(settings.credentials).flows()
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


@app.command()
def pull(ctx: typer.Context, model: Local) -> None:
    """Fetch a local model from a hub, or name a GGUF file that is here.

    Then `-m local:FILE` chooses it. A download that was stopped is continued, and verified by the hub's SHA-256.
    """
    settings = settings_of(ctx)
    if model.startswith(pulled.HUB) or "/" in model or (model.lower().endswith(".gguf") and Path(model).exists()):
        _pull_for_user(model, settings)
        return
    name = resolve_model(model, settings)
    if name.provider != LOCAL:
        remedy = f"Known ones: {', '.join(LOCAL_MODELS)}. From the hub: hf:OWNER/REPO/FILE.gguf"
        raise UsageError(f"{model} is no local model, and only those can be fetched", remedy=remedy)
    from chatcli.models.local.fetch import fetch

    weights = pulled.find_model(name.model, settings.local_model)
    override = settings.local_model if weights in KNOWN_WEIGHTS else None
    with closing(build_renderer(settings)) as renderer:
        if override is None and weights in KNOWN_WEIGHTS and not weights.is_fetched:
            renderer.render(Notice(describe_fetch(weights)))
        fetch(weights, override=override, on_progress=renderer.render)


def _pull_for_user(model: str, settings: Settings) -> None:
    """Fetch the file of a hub, or register the one at a path, and print how it is chosen."""
    from chatcli.models.local.fetch import fetch_from_user_hub

    if model.startswith(pulled.HUB):
        with closing(build_renderer(settings)) as renderer:
            weights = fetch_from_user_hub(pulled.parse_hub_file(model), on_progress=renderer.render)
    else:
        weights = pulled.own_weights(Path(model))
        pulled.remember(weights)
    print(f"local:{weights.name} has a context of {weights.window} tokens: chat -m local:{weights.name}")


@app.command()
def remove(names: Names) -> None:
    """Delete the files of local models; a file of your own that was pulled by its path stays."""
    found = [pulled.find_removable(pulled.model_name(name.removeprefix(f"{LOCAL}:"))) for name in names]
    for weights in found:
        lock = weights.cache_file.with_name(f"{weights.cache_file.name}.lock")
        if is_taken(Runtime.of(weights).clients_lock) or (lock.exists() and is_taken(lock)):
            remedy = "End its conversations and downloads first."
            raise UsageError(f"local:{weights.name} is in use", remedy=remedy)
    for weights in found:
        freed = weights.megabytes if weights.is_fetched and not weights.own_path else 0
        pulled.forget(weights)
        print(f"local:{weights.name} is removed ({freed} MB)")
