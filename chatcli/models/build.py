"""From a model's name to a model that can be asked; each provider family is imported only when it is named."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from chatcli.config.settings import Settings
from chatcli.events import Progress
from chatcli.models.names import ModelName
from chatcli.providers import LANGFLOW, LOCAL, OPENAI

if TYPE_CHECKING:
    from chatcli.models.model import Model


def build_model(name: ModelName, settings: Settings, on_progress: Callable[[Progress], None]) -> "Model":
    """Return the model `name`; blocks while a server is asked what it has.

    `on_progress` is told of the fetching and loading of a local model, also from another thread.

    Raises:
        AuthError: The provider's key is missing.
        UsageError: What the provider needs is not installed.

    """
    if name.provider == LOCAL:
        from chatcli.models.local.model import build_local

        return build_local(name, settings, on_progress)
    if name.provider == OPENAI:
        from chatcli.models.openai.model import build_openai

        return build_openai(name, settings)
    if name.provider == LANGFLOW:
        from chatcli.models.langflow.model import build_langflow

        return build_langflow(name, settings)
    from chatcli.models.hosted.model import build_hosted

    return build_hosted(name, settings)
