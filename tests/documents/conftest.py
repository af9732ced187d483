"""Fixtures: a folder of documents, and an index of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from chatcli.documents.index import DocumentIndex


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    return folder


@pytest.fixture
def index_file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "documents.db"


@pytest.fixture
def index(index_file: Path) -> Iterator[DocumentIndex]:
    with DocumentIndex(index_file) as index:
        yield index
