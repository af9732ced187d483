"""The user's editor."""

import os
import shlex
import subprocess
from pathlib import Path

from chatcli.errors import UsageError


def edit_in_editor(path: Path) -> None:
    """Open `path` in $VISUAL or $EDITOR, and wait until the user has closed it."""
    editor = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
    try:
        code = subprocess.run([*editor, str(path)], check=False).returncode  # noqa: S603 - the editor is the user's
    except OSError as error:
        raise UsageError(f"the editor {editor[0]} can't be started: {error.strerror}", remedy="Set $EDITOR.") from None
    if code != 0:
        raise UsageError(f"the editor {editor[0]} failed with exit code {code}", remedy=f"The file is {path}.")
