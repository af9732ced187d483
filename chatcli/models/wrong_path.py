"""A base URL that has the wrong path: how its errors are recognised, and what the right one may be."""

import re
from urllib.parse import urlsplit

from chatcli.errors import UsageError
from chatcli.models import sdk_errors
from chatcli.models.model import Endpoint
from chatcli.providers import BEDROCK, OPENAI

COMPLETIONS = "/chat/completions"
"""What the client adds itself."""
_VERSION = re.compile(r"/v\d")
_NAMES = ("model", "deployment")
_OWN_WORDS = ("Unexpected endpoint",)
"""Of servers that have no status for it: LM Studio."""
_PATH = re.compile(r"(?<!\w)(?:https?:)?/[^\s\"'<>()]+")


def path_failure(error: BaseException, endpoint: Endpoint) -> UsageError | None:
    """Return `error` as the failure of a wrong base URL, None where it is another one.

    A server that does not know the path says nothing of a model, but for paths that it repeats. The address that a
    provider's client has itself is never wrong.
    """
    status = sdk_errors.status(error)
    said = f"{error} {sdk_errors.body(error)}"
    if not endpoint.base_url or endpoint.name.provider == BEDROCK:  # AWS's client may drop what the server said
        return None
    if not (status in (404, 405) or any(words in said for words in _OWN_WORDS)):
        return None
    if not _is_page(said) and _names_model(_PATH.sub("", said), endpoint.name.model):
        return None
    path = sdk_errors.asked_path(error) or COMPLETIONS
    return UsageError(
        f"the server at {endpoint.address} has nothing under {path}"
        + (f" (HTTP {status})" if status is not None else ""),
        remedy=base_url_hint(endpoint),
    )


def base_url_hint(endpoint: Endpoint) -> str:
    """Return what may be wrong with the base URL of `endpoint`."""
    url = endpoint.base_url
    if url.endswith(COMPLETIONS):
        return f"The base URL goes without {COMPLETIONS}: --base-url {url.removesuffix(COMPLETIONS)}"
    if endpoint.name.provider == OPENAI and not _VERSION.search(urlsplit(url).path):
        return f"The base URL often ends in /v1: --base-url {url}/v1"
    return "Check the base URL."


def _is_page(said: str) -> bool:
    """Return whether a web page was sent, which may have any words."""
    return re.search(r"<(?:!doctype|html)\b", said, re.IGNORECASE) is not None


def _names_model(said: str, model: str) -> bool:
    lower = said.lower()
    return any(name in lower for name in _NAMES) or (len(model) > 1 and model.lower() in lower)
