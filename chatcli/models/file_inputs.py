"""What kinds of files a model takes, by langchain's own table of models."""

from typing import Literal

from chatcli.errors import RefusedError
from chatcli.models.model import Model
from chatcli.providers import LOCAL

FileKind = Literal["image", "pdf"]

_ABLE = ("openai:gpt-5-mini", "openai:gpt-5", "openai:gpt-4.1-mini", "openai:gpt-4o")
"""Examples to name in a refusal; a test looks them up in the table."""


def takes(model: Model, kind: FileKind) -> bool | None:
    """Return whether `model` takes files of `kind`; None where it is not known, as of a server of one's own."""
    if model.name.provider == LOCAL:
        return False
    known = (model.client.profile or {}).get("image_inputs" if kind == "image" else "pdf_inputs")
    return None if known is None else bool(known)


def refuse_file(model: Model, name: str, kind: FileKind) -> RefusedError:
    """Return the refusal of the file `name`, naming models that would take it."""
    what = "images" if kind == "image" else "PDF"
    return RefusedError(
        f"{model.name} takes no {what}, and {name} is one"
        if kind == "pdf"
        else f"{model.name} takes no images: {name}",
        remedy=f"Models that do: {', '.join(_ABLE)}.",
    )
