"""The build hook that adds the addresses of the project, and its description for the package index, to the metadata."""

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

# A link, or a picture with its "!", to a file of the repository.
_LINK = re.compile(r"(!?)(\[[^\]]*\])\((?!https?://|#)([^)\s]+)\)")


class AddressesHook(MetadataHookInterface):
    """Make `urls` of the two addresses that pyproject.toml has, and `readme` of README.md with absolute links."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Add both to `metadata`, which has the version."""
        repository, tag = self.config["repository"], f"v{metadata['version']}"
        metadata["urls"] = {
            "Changelog": f"{repository}/blob/{tag}/CHANGELOG.md",
            "Documentation": self.config["site"],
            "Issues": f"{repository}/issues",
            "Source": repository,
        }
        text = Path(self.root, "README.md").read_text("utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": absolute_links(text, repository, tag)}


def absolute_links(text: str, repository: str, tag: str) -> str:
    """Return `text` with links into `repository` as it was at `tag`, and pictures as files."""

    def absolute(link: re.Match[str]) -> str:
        kind = "raw" if link[1] else "blob"
        return f"{link[1]}{link[2]}({repository}/{kind}/{tag}/{link[3]})"

    return _LINK.sub(absolute, text)
