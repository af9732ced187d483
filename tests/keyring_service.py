"""A real Secret Service, as desktops have it: gnome-keyring's daemon on a D-Bus of its own."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from tests.waiting import wait_until

try:
    import jeepney.io.blocking
    import secretstorage
    from secretstorage.defines import SS_PATH
    from secretstorage.exceptions import SecretStorageException
    from secretstorage.util import DBusAddressWrapper, format_secret, open_session
except ImportError:  # keyring brings them along on Linux alone
    pytest.skip("only Linux has a Secret Service", allow_module_level=True)

PROGRAMS = ("dbus-daemon", "gnome-keyring-daemon")
PASSWORD = b"the password of the login"
_OF_GNOME = "org.gnome.keyring.InternalUnsupportedGuiltRiddenInterface"
"""What gnome-keyring unlocks by without a dialog."""
# A session bus that starts no services: it would start a second keyring while the first one begins.
BUS = """
<busconfig>
  <type>session</type>
  <listen>unix:tmpdir=/tmp</listen>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""


def missing_program() -> str | None:
    """Name a program that is needed and not installed."""
    return next((program for program in PROGRAMS if shutil.which(program) is None), None)


class SecretService:
    """Holds the collection that is unlocked at the login."""

    def __init__(self, address: str) -> None:
        self.address = address

    @property
    def secrets(self) -> dict[str, str]:
        """What is kept, by the name of the user that it is kept for."""
        with closing(jeepney.io.blocking.open_dbus_connection(self.address)) as connection:
            items = list(secretstorage.get_default_collection(connection).get_all_items())
            return {item.get_attributes()["username"]: item.get_secret().decode() for item in items}

    def lock(self) -> None:
        """Lock the collection; nobody is there whom the service could ask for its password."""
        with closing(jeepney.io.blocking.open_dbus_connection(self.address)) as connection:
            secretstorage.get_default_collection(connection).lock()

    def unlock(self) -> None:
        """Unlock the collection with the password of the login, as the screen's lock does."""
        with closing(jeepney.io.blocking.open_dbus_connection(self.address)) as connection:
            password = format_secret(open_session(connection), PASSWORD, "text/plain")
            collection = secretstorage.get_default_collection(connection).collection_path
            service = DBusAddressWrapper(SS_PATH, _OF_GNOME, connection)
            service.call("UnlockWithMasterPassword", "o(oayays)", collection, password)

    def clear(self) -> None:
        """Delete what is kept, as a user can in a program of the desktop."""
        with closing(jeepney.io.blocking.open_dbus_connection(self.address)) as connection:
            for item in secretstorage.get_default_collection(connection).get_all_items():
                item.delete()

    def is_ready(self) -> bool:
        """Return whether the daemon answers."""
        with closing(jeepney.io.blocking.open_dbus_connection(self.address)) as connection:
            try:
                # Not get_default_collection, which would make one.
                return not secretstorage.Collection(connection).is_locked()
            except (SecretStorageException, jeepney.DBusErrorResponse):
                return False


@contextmanager
def running_service(folder: Path) -> Iterator[SecretService]:
    """Run it with its files in `folder`."""
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder)}
    with ExitStack() as stack:
        config = folder / "bus.conf"
        config.write_text(BUS)
        bus = subprocess.Popen(
            ["dbus-daemon", f"--config-file={config}", "--nofork", "--print-address"],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        stack.callback(_end, bus)
        assert bus.stdout is not None
        service = SecretService(bus.stdout.readline().decode().strip())
        env["DBUS_SESSION_BUS_ADDRESS"] = service.address
        daemon = subprocess.Popen(
            ["gnome-keyring-daemon", "--foreground", "--unlock", "--components=secrets"],
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        stack.callback(_end, daemon)
        assert daemon.stdin is not None
        daemon.stdin.write(PASSWORD)
        daemon.stdin.close()
        wait_until(service.is_ready)
        yield service


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()
