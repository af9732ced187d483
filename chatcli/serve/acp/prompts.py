"""Reads a prompt of an editor: its text, and what goes along with the question."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from chatcli.attachments.attachment import Attachment, identify, read_attachment
from chatcli.config.settings import Settings
from chatcli.errors import ChatcliError, RefusedError
from chatcli.serve.acp.client import invalid, text_of
from chatcli.tools.workspace import Workspace


def read_prompt(blocks: Any, settings: Settings, workspace: Workspace) -> tuple[str, list[Attachment], list[str]]:
    """Return the text of the prompt `blocks`, its attachments, and a line for each link that could not be followed.

    What is linked is named in the text where it stands. This blocks: call it in a thread.
    """
    if not isinstance(blocks, Sequence) or isinstance(blocks, str):
        raise invalid("prompt must be a list of content blocks")
    texts: list[str] = []
    attachments: list[Attachment] = []
    problems: list[str] = []
    kind: Any = None
    for block in blocks:
        if not isinstance(block, Mapping):
            raise invalid("a content block must be an object")
        before, kind = kind, block.get("type")
        match kind:
            case "text":
                if before == "text":  # a paragraph of its own, such as an earlier question that was cancelled
                    texts.append("\n\n")
                texts.append(_text(block, "text"))
            case "image":
                uri = block.get("uri")
                name = _name(uri, workspace.root) if isinstance(uri, str) and uri else f"image {len(attachments) + 1}"
                attachments.append(identify(name, _decoded(_text(block, "data"))))
            case "resource":
                attachments.append(_embedded(block.get("resource"), workspace.root))
                texts.append(attachments[-1].name)
            case "resource_link":
                uri = _text(block, "uri")
                texts.append(_name(uri, workspace.root))
                try:
                    attachments.append(_linked(uri, settings, workspace))
                except ChatcliError as error:  # the text still names it
                    problems.append(error.message)
            case other:
                raise invalid(f"no model here takes a content block of the type {other!r}")
    return "".join(texts).strip(), attachments, problems


def _text(block: Mapping[str, Any], key: str) -> str:
    return text_of(block, key, " of a content block")


def _decoded(data: str) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise invalid("the data of a content block is not base64") from None


def _embedded(resource: Any, root: Path) -> Attachment:
    if not isinstance(resource, Mapping):
        raise invalid("a resource must be an object")
    name = _name(_text(resource, "uri"), root)
    if isinstance(text := resource.get("text"), str):
        return Attachment(name, "text", "text/plain", text=text, size=len(text.encode("utf-8", "replace")))
    return identify(name, _decoded(_text(resource, "blob")))


def _linked(uri: str, settings: Settings, workspace: Workspace) -> Attachment:
    path = path_of(uri)
    if path is None:
        if not uri.startswith(("http://", "https://")):
            raise RefusedError(f"{uri} is not attached: only files and web pages are")
        return read_attachment(uri, allow_private=settings.allow_private_urls, timeout=settings.timeout)
    name = _name(uri, workspace.root)
    unsaved = workspace.files.read(path) if workspace.files is not None else None
    if unsaved is not None:
        return Attachment(name, "text", "text/plain", text=unsaved, size=len(unsaved.encode("utf-8", "replace")))
    if path.is_dir():
        raise RefusedError(f"{name} is a folder: it is named, not attached")
    return replace(read_attachment(str(path)), name=name)


def path_of(uri: str) -> Path | None:
    """Return the path that a `file:` URI, or an absolute path in place of one, names; None for any other."""
    parts = urlsplit(uri)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return Path(uri) if uri.startswith("/") else None


def _name(uri: str, root: Path) -> str:
    """Return the name of the resource in the question: its path, relative where it is in the session's folder."""
    path = path_of(uri)
    if path is None:
        return uri
    return str(path.relative_to(root)) if path.is_relative_to(root) and path != root else str(path)
