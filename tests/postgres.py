"""A real PostgreSQL server of the tests' own: Debian's binaries, a temporary folder, a free port of the loopback."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from tests.waiting import WAIT_SECONDS

PASSWORD = "pw-7d1f0c52e9"
USER = "chatter"


@dataclass(frozen=True)
class Postgres:
    """A running server."""

    port: int

    def uri(self, database: str = "postgres", *, password: str = PASSWORD) -> str:
        """Return the URI of one of its databases."""
        return f"postgresql://{USER}:{password}@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """Create an empty database; return its URI."""
        name = f"test_{secrets.token_hex(6)}"
        with psycopg.connect(self.uri(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.uri(name)


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """Run a server until the block ends; skip the test where Debian's package `postgresql` is missing."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    binaries = found[-1].parent
    with tempfile.TemporaryDirectory(prefix="chatcli-postgres-") as folder:
        password, data = Path(folder) / "password", Path(folder) / "data"
        password.write_text(PASSWORD)
        user = "postgres" if os.geteuid() == 0 else None  # the server refuses to run as root
        if user is not None:
            for path in (folder, password):
                shutil.chown(path, user)
        options = ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
        subprocess.run(
            [binaries / "initdb", "-D", data, "-U", USER, f"--pwfile={password}", *options],
            check=True,
            capture_output=True,
            cwd=folder,
            user=user,
        )
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        settings = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off", "port": port}
        arguments = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        server = subprocess.Popen(
            [binaries / "postgres", "-D", data, *arguments],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=user,
        )
        try:
            running = Postgres(port)
            _wait_for(running)
            yield running
        finally:
            server.send_signal(signal.SIGINT)  # a fast shutdown: it does not wait for its clients
            with suppress(subprocess.TimeoutExpired):
                server.wait(5)
            server.kill()
            server.wait()


def _wait_for(server: Postgres) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            psycopg.connect(server.uri(), connect_timeout=5).close()
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return
