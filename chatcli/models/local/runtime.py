"""The files by which the clients and the server of a user find each other."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from chatcli import paths
from chatcli.models.local.weights import Weights
from chatcli.runtime.files import replace_privately
from chatcli.runtime.parse import read_json

_LOOPBACK = "http://127.0.0.1:"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A running server: its OpenAI-compatible `base_url`, the key that it asks for and its process id."""

    base_url: str
    api_key: str = field(repr=False)
    pid: int


@dataclass(frozen=True, slots=True)
class Runtime:
    """The folder and the name that one server and its clients share.

    - `server_lock` is held by the server for its whole life, and before by the client that starts it. Whoever
      gets it knows that there is no server.
    - `clients_lock` is held, shared, by every client. When the server gets it alone, nobody uses it.
    - `state_file` says where the server is. It may be stale; `server_lock` tells.
    """

    folder: Path
    name: str

    @classmethod
    def of(cls, weights: Weights) -> "Runtime":
        """Return the runtime files of the server for `weights`; create their folder (0700)."""
        folder = paths.private_dir(paths.private_dir(paths.state_dir()) / "local")
        # The hash in the name: another release of chatcli may have other weights of that name.
        return cls(folder, f"{weights.name}-{weights.sha256[:8]}")

    @property
    def server_lock(self) -> Path:
        """The file that is locked while a server lives or starts."""
        return self.folder / f"{self.name}.server.lock"

    @property
    def clients_lock(self) -> Path:
        """The file that is locked while anyone needs the server."""
        return self.folder / f"{self.name}.clients.lock"

    @property
    def state_file(self) -> Path:
        """The file that holds the `Endpoint`."""
        return self.folder / f"{self.name}.state.json"

    @property
    def log_file(self) -> Path:
        """The file that takes whatever the server says."""
        return self.folder / f"{self.name}.log"

    def read_endpoint(self) -> Endpoint | None:
        """Return what the state file says, or None when it is missing or says nothing sensible."""
        try:
            state = read_json(self.state_file.read_bytes())
            endpoint = Endpoint(str(state["base_url"]), str(state["api_key"]), int(state["pid"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return endpoint if endpoint.base_url.startswith(_LOOPBACK) else None

    def write_endpoint(self, endpoint: Endpoint) -> None:
        """Write the state file (0600) in one step: no reader ever sees half of it."""
        state = {"base_url": endpoint.base_url, "api_key": endpoint.api_key, "pid": endpoint.pid}
        replace_privately(self.state_file, [json.dumps(state)])

    def forget_endpoint(self, endpoint: Endpoint | None = None) -> None:
        """Delete the state file; given an `endpoint`, only if it is the one in it."""
        if endpoint is None or self.read_endpoint() == endpoint:
            self.state_file.unlink(missing_ok=True)
