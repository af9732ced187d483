"""How texts are searched, by words and by meaning: passages of documents, and what past threads say."""

from contextvars import ContextVar

BY_MEANING: ContextVar[bool] = ContextVar("by_meaning", default=False)
"""Whether this run ranks by meaning, too, if the extra `semantic` is installed: the setting `semantic`."""
