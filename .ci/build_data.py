"""The build hook that adds the man page chat(1) and the shells' completions to the wheel."""

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_COMPLETIONS = {
    "bash": "share/bash-completion/completions/chat",
    "zsh": "share/zsh/site-functions/_chat",
    "fish": "share/fish/vendor_completions.d/chat.fish",
}


class DataHook(BuildHookInterface):
    """Write the files, and let the wheel install them where man and the shells look for them."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the files to what is built."""
        sys.path[:0] = [self.root, f"{self.root}/.ci"]
        from man_page import man_page
        from typer._completion_shared import get_completion_script

        files = {"share/man/man1/chat.1": man_page()}
        for shell, place in _COMPLETIONS.items():
            files[place] = get_completion_script(prog_name="chat", complete_var="_CHAT_COMPLETE", shell=shell) + "\n"
        # zsh reads this file at the first Tab, which only the function's call answers.
        files[_COMPLETIONS["zsh"]] += '\n_chat_completion "$@"\n'
        for place, text in files.items():
            written = self._written(place)
            written.parent.mkdir(parents=True, exist_ok=True)
            written.write_text(text, encoding="utf-8")
            build_data["shared_data"][str(written)] = place
        self._places = list(files)

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the written files."""
        for place in self._places:
            self._written(place).unlink(missing_ok=True)

    def _written(self, place: str) -> Path:
        return Path(self.directory) / Path(place).name
