"""Helpers for the exports of other programs: models that ignore unknown fields, and Markdown."""

import re

from pydantic import BaseModel, ConfigDict

_NOT_IN_LANGUAGE = re.compile(r"[^\w+#.-]")
_BACKTICKS = re.compile("`{3,}")


class Export(BaseModel):
    """Part of an export; its makers add fields now and then, and what is not read may be anything."""

    model_config = ConfigDict(extra="ignore", strict=True)


def fenced(text: str, language: str | None = None) -> str:
    """Return `text` as a code block, whose fence is longer than any inside of it; empty text stays empty."""
    if not text:
        return ""
    longest = max((len(marks) for marks in _BACKTICKS.findall(text)), default=2)
    fence = "`" * (longest + 1)
    name = "" if language in (None, "unknown") else _NOT_IN_LANGUAGE.sub("", language)[:40]
    newline = "" if text.endswith("\n") else "\n"
    return f"{fence}{name}\n{text}{newline}{fence}"


def quoted(title: str, text: str) -> str:
    """Return `text`, which the model wrote beside its answer, as a quotation with a title; empty text stays empty."""
    if not text.strip():
        return ""
    lines = text.strip().split("\n")
    return "\n".join([f"> **{title}**", ">", *(f"> {line}".rstrip() for line in lines)])


def joined(*parts: str) -> str:
    """Return the parts that are not empty as paragraphs."""
    return "\n\n".join(part for part in parts if part)
