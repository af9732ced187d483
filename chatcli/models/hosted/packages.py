"""Which providers' packages are installed."""

from importlib.util import find_spec

from chatcli.providers import Provider


def is_installed(provider: Provider) -> bool:
    """Return whether the packages of `provider` are there, without importing them."""
    if not provider.package:
        return True
    return all(find_spec(module) is not None for module in {"langchain", provider.package.replace("-", "_")})
