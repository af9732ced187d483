"""What the user types, against the sources that were named before."""

from pathlib import Path

import pytest

from chatcli.documents.find import match_sources


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("docs", ["{}/docs"]),
        ("docs/", ["{}/docs"]),
        ("./x/../docs", ["{}/docs"]),
        ("{}/docs", ["{}/docs"]),
        ("docs/*.md", ["{}/docs/*.md"]),
        ("doc", []),
        ("{}", ["{}/docs", "{}/docs/*.md"]),
        ("a\0b", []),
        ("link", ["{}/docs"]),
        ("/else", []),
    ],
)
def test_a_source_is_found_by_what_is_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: str, found: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to("docs")
    sources = [f"{tmp_path}/docs", f"{tmp_path}/docs/*.md", "/elsewhere"]
    here = str(tmp_path)
    assert match_sources(typed.replace("{}", here), sources) == [one.replace("{}", here) for one in found]
