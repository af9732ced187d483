"""Build the documentation site of the manual's pages, with strict links.

Usage: .ci/build_site.py FOLDER
"""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from chatcli import manual

_ROOT = Path(__file__).parents[1]
_PICTURE = re.compile(r"\]\(\.\./\.\./tests/pictures/([\w.-]+)\)")
# Not in a block of code, where the backquotes are missing.
_HELP = re.compile(r"`chat help ([\w-]+)`")
_TITLE = re.compile(r"# (.+)")


def main(folder: Path) -> None:
    """Write the site below `folder`: its `site` is what a server needs."""
    pages = folder / "pages"
    shutil.copytree(_ROOT / "tests" / "pictures", pages / "pictures", ignore=shutil.ignore_patterns("*.py"))
    shutil.copy(_ROOT / "docs" / "site" / "table.css", pages)
    for topic in manual.TOPICS:
        (pages / _file(topic)).write_text(_site_page(topic), encoding="utf-8")
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text("utf-8"))
    addresses = project["tool"]["hatch"]["metadata"]["hooks"]["custom"]
    nav = _navigation(addresses["repository"])
    added = f"[project]\nsite_url = {json.dumps(addresses['site'])}\nnav = {nav}\n"
    settings = (_ROOT / "docs" / "site" / "zensical.toml").read_text("utf-8").replace("[project]\n", added, 1)
    (folder / "zensical.toml").write_text(settings, encoding="utf-8")
    zensical = Path(sys.executable).with_name("zensical")
    ended = subprocess.run([zensical, "build", "--strict", "--clean"], cwd=folder)  # noqa: S603 - a program of this environment
    sys.exit(ended.returncode)


def _file(topic: str) -> str:
    """Return the page's file; the first topic is where the site begins."""
    return "index.md" if topic == manual.TOPICS[0] else f"{topic}.md"


def _navigation(repository: str) -> str:
    """Return the pages in the manual's order, then the repository, as TOML."""
    pages = {topic: f"{{ {json.dumps(_title(topic))} = {json.dumps(_file(topic))} }}" for topic in manual.TOPICS}
    sections = [
        f"{{ {json.dumps(name)} = [{', '.join(pages[topic] for topic in group)}] }}"
        for name, group in manual.GROUPS.items()
    ]
    return f"[{', '.join(sections)}, {{ Repository = {json.dumps(repository)} }}]"


def _title(topic: str) -> str:
    """Return the heading of the page."""
    found = _TITLE.match(manual.read_page(topic))
    return found[1] if found else topic


def _site_page(topic: str) -> str:
    """Return the page with links to the others and to the site's pictures."""
    return _HELP.sub(_link, _PICTURE.sub(r"](pictures/\1)", manual.read_page(topic)))


def _link(found: re.Match[str]) -> str:
    """Return the command that shows a page as a link to it."""
    return f"[{found[0]}]({_file(found[1])})" if found[1] in manual.TOPICS else found[0]


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]).resolve())
