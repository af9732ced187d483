"""Fixtures: a folder of documents, and an index of its own, as for the tests of the index."""

from tests.documents.conftest import docs, index, index_file

__all__ = ["docs", "index", "index_file"]
