"""The build hook that adds the man page chat(1) to the wheel."""

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ManPageHook(BuildHookInterface):
    """Write the man page, and let the wheel install it in share/man/man1."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the page to what is built."""
        sys.path.insert(0, self.root)
        from chatcli.manual.man_page import man_page

        page = self._page()
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(man_page(), encoding="utf-8")
        build_data["shared_data"][str(page)] = "share/man/man1/chat.1"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the written page."""
        self._page().unlink(missing_ok=True)

    def _page(self) -> Path:
        return Path(self.directory) / "chat.1"
