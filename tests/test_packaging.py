"""What `.ci` makes for others: the description on the package index, the files of other installers, the site."""

import hashlib
import importlib.metadata
import json
import re
import runpy
from pathlib import Path

from chatcli.manual import TOPICS, read_page

CI = Path(__file__).parents[1] / ".ci"


def test_links_and_pictures_of_the_description_are_absolute() -> None:
    description = str(importlib.metadata.distribution("threadchat").read_text("METADATA"))

    assert re.search(r"!\[[^]]*\]\(https://[^)]*/raw/v[^)]*/tests/pictures/recording.svg\)", description)
    assert re.search(r"\]\(https://[^)]*/blob/v[^)]*/CHANGELOG.md\)", description)
    assert not re.search(r"\]\((?!https?://|#)", description)


def test_files_of_other_installers_have_the_version_and_the_digest_of_the_source_distribution(tmp_path: Path) -> None:
    distribution = tmp_path / "threadchat-3.2.1.tar.gz"
    distribution.write_bytes(b"source")
    runpy.run_path(str(CI / "packages.py"))["main"](distribution, tmp_path)

    digest = hashlib.sha256(b"source").hexdigest()
    formula, build = (tmp_path / "threadchat.rb").read_text(), (tmp_path / "PKGBUILD").read_text()
    assert f'sha256 "{digest}"' in formula
    assert "/releases/download/v3.2.1/threadchat-3.2.1.tar.gz" in formula
    assert f"sha256sums=({digest})" in build
    assert "pkgver=3.2.1" in build
    agent = json.loads((tmp_path / "agent.json").read_text())
    assert agent["distribution"] == {"uvx": {"package": "threadchat[acp]==3.2.1", "args": ["acp"]}}
    assert agent["license_url"].endswith("/blob/v3.2.1/LICENSE")
    assert "currentColor" in (tmp_path / "icon.svg").read_text()


def test_the_site_links_what_the_manual_names() -> None:
    page = runpy.run_path(str(CI / "build_site.py"))["_site_page"]
    pages = [page(topic) for topic in TOPICS]

    assert any("[`chat help providers`](providers.md)" in text for text in pages)
    assert not any("tests/pictures" in text for text in pages)


def test_lists_and_tables_of_the_manual_begin_after_a_blank_line() -> None:
    """The site's generator takes them for a part of the paragraph otherwise."""
    item = re.compile(r"- |\d+\. |\|")
    for topic in TOPICS:
        prose = re.sub(r"^```.*?^```", "", read_page(topic), flags=re.DOTALL | re.MULTILINE)
        for paragraph in prose.split("\n\n"):
            first, *others = paragraph.strip().split("\n")
            assert item.match(first) or not any(map(item.match, others)), (topic, first)
