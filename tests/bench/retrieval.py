"""Measures what searches find, on public sets that are fetched at need and pinned: `python -m tests.bench.retrieval`.

For documents: recall at 1, 5 and 10 and nDCG at 10 by file, for plain BM25, for the index, and for the index with the
extra `semantic` if that is installed; questions that nothing answers; exactness of the lines; milliseconds a search.
For past threads: how much of LoCoMo's evidence is in the six exchanges that `/recall` sends. Nothing of the sets is
committed: LoCoMo is CC BY-NC.
"""

import argparse
import hashlib
import json
import math
import os
import random
import re
import sqlite3
import subprocess
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from chatcli.documents.index import DocumentIndex
from chatcli.documents.passage import Passage
from chatcli.ranking import BY_MEANING
from chatcli.ranking.semantic import is_installed
from chatcli.store.recall import MAX_EXCERPTS, recall
from chatcli.store.sqlite import schema
from chatcli.store.sqlite.threads import SqliteThreads
from tests.bench import standard_library
from tests.bench.docs import OFF_TOPIC, is_exact, without_headings

QUESTIONS = 500
"""The most questions of a set."""
REPOSITORIES = {
    "Subhankar48/CS6370-Natural-Language-Processing": "8237a9dd07d5d050418e37ce0e1daa3458fd4945",
    "snap-research/locomo": "3eb6f2c585f5e1699204e3c3bdf7adc5c28cb376",
    "pallets/flask": "2ac89889f4cc330eabd50f295dcef02828522c69",
    "pallets/click": "2c8cd3ac958a7eb316d67f2d316c27086c4c0369",
    "encode/httpx": "ae1b9f66238f75ced3ced5e4485408435de10768",
    "fastapi/typer": "9a7b2e83f6b62c750d6026b0de9ebf2026a8b8fa",
}
"""Where the sets come from, each at one commit. The first one has the Cranfield collection as JSON."""
SQUAD = (
    "https://raw.githubusercontent.com/rajpurkar/SQuAD-explorer/eee5fdbf62f8613a7812b03419e6b29617b74fd1/dataset/"
    "dev-v1.1.json"
)
"""One file of a large repository."""
SQUAD_SHA256 = "95aa6a52d5d6a735563366753ca50492a658031da74f301ac5238b03966972c9"
FEWEST_WORDS, FEWEST_CHARACTERS = 3, 300
"""Of a heading that is a question, and of the text below it."""
_HEADING = re.compile(r"#{1,6} +(.*)")
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, and the files that answer it."""

    text: str
    files: frozenset[Path]


def fetched(name: str, data: Path) -> Path:
    """Return the folder of the GitHub repository `name` at its pinned commit, fetched if it is not there yet."""
    folder = data / name.replace("/", "+")
    commit = REPOSITORIES[name]
    git = ["git", "-C", str(folder)]
    if not (folder / ".git" / "complete").exists():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run([*git, "init", "-q"], check=True)
        subprocess.run([*git, "fetch", "-q", "--depth", "1", f"https://github.com/{name}", commit], check=True)
        subprocess.run([*git, "checkout", "-q", "-f", commit], check=True)
        (folder / ".git" / "complete").touch()
    return folder


def squad(data: Path, target: Path) -> Iterator[Asked]:
    """Write each paragraph of SQuAD 1.1 (dev) to a file; yield the questions."""
    source = data / SQUAD.rpartition("/")[2]
    if not source.exists():
        data.mkdir(parents=True, exist_ok=True)
        urllib.request.urlretrieve(SQUAD, source)
    content = source.read_bytes()
    if hashlib.sha256(content).hexdigest() != SQUAD_SHA256:
        raise ValueError(f"{source} is not the file that is pinned")
    paragraphs = [each for article in json.loads(content)["data"] for each in article["paragraphs"]]
    for number, paragraph in enumerate(paragraphs):
        file = target / f"{number:04}.txt"
        file.write_text(paragraph["context"])
        yield from (Asked(each["question"], frozenset([file])) for each in paragraph["qas"])


def cranfield(data: Path, target: Path) -> Iterator[Asked]:
    """Write each abstract of the Cranfield collection to a file; yield the queries."""
    folder = fetched("Subhankar48/CS6370-Natural-Language-Processing", data) / "Assignment_1/cranfield"
    documents, queries, judged = (
        json.loads((folder / f"cran_{kind}.json").read_text()) for kind in ("docs", "queries", "qrels")
    )
    files = {str(each["id"]): target / f"{each['id']}.txt" for each in documents}
    for each in documents:
        files[str(each["id"])].write_text(f"{each['title']}\n\n{each['body']}\n")
    relevant: dict[str, set[Path]] = {}
    for each in judged:
        if str(each["id"]) in files:
            relevant.setdefault(str(each["query_num"]), set()).add(files[str(each["id"])])
    for each in queries:
        yield Asked(each["query"], frozenset(relevant.get(str(each["query number"]), ())))


def modules(data: Path, target: Path) -> Iterator[Asked]:
    """Write what Python says about its own modules; yield questions in other words than these texts have."""
    del data
    standard_library.write_modules(target)
    for line in standard_library.QUESTIONS.strip().split("\n"):
        question, _, names = line.rpartition(": ")
        yield Asked(question, frozenset(target / f"{name}.txt" for name in names.split()))


def documentation(name: str) -> Callable[[Path, Path], Iterator[Asked]]:
    """Return what writes the documentation of the repository `name` without its headings, which are the questions."""

    def write(data: Path, target: Path) -> Iterator[Asked]:
        docs = fetched(name, data) / "docs"
        for file in sorted(file for file in docs.rglob("*") if file.suffix in (".md", ".rst")):
            copy = target / file.relative_to(docs)
            copy.parent.mkdir(parents=True, exist_ok=True)
            if file.suffix == ".rst":
                yield from (Asked(each.text, frozenset([copy])) for each in without_headings(file, copy))
            else:
                yield from (Asked(heading, frozenset([copy])) for heading in without_markdown_headings(file, copy))

    return write


def without_markdown_headings(file: Path, copy: Path) -> list[str]:
    """Write `file` to `copy`, and return the headings that are left out."""
    lines = file.read_text().split("\n")
    heads = [number for number, line in enumerate(lines) if _HEADING.fullmatch(line)]
    left_out: list[str] = []
    for head, end in zip(heads, [*heads, len(lines)][1:], strict=True):
        title = re.sub(r"\s*\{.*\}|[`*#]", "", lines[head]).strip()
        enough = len("\n".join(lines[head + 1 : end]).strip()) > FEWEST_CHARACTERS
        if len(_WORD.findall(title)) >= FEWEST_WORDS and enough:
            lines[head] = ""
            left_out.append(title)
    copy.write_text("\n".join(lines))
    return left_out


SETS: dict[str, Callable[[Path, Path], Iterator[Asked]]] = {
    "flask": documentation("pallets/flask"),
    "click": documentation("pallets/click"),
    "httpx": documentation("encode/httpx"),
    "typer": documentation("fastapi/typer"),
    "cranfield": cranfield,
    "squad": squad,
    "modules": modules,
}


class PlainBM25:
    """BM25 over whole words of passages, as every tutorial has it: k1 = 1.2, b = 0.75, no stems, no stop words."""

    def __init__(self, passages: Sequence[tuple[Path, str]]) -> None:
        self._paths = [path for path, _ in passages]
        self._counts = [Counter(_WORD.findall(text.lower())) for _, text in passages]
        self._lengths = [sum(count.values()) for count in self._counts]
        self._mean = sum(self._lengths) / max(len(passages), 1)
        self._places: dict[str, list[int]] = {}
        for place, count in enumerate(self._counts):
            for word in count:
                self._places.setdefault(word, []).append(place)

    def search(self, question: str) -> list[Path]:
        """Return the files of the best passages."""
        scores: Counter[int] = Counter()
        for word in set(_WORD.findall(question.lower())):
            places = self._places.get(word, [])
            rarity = math.log1p((len(self._paths) - len(places) + 0.5) / (len(places) + 0.5))
            for place in places:
                count = self._counts[place][word]
                scores[place] += (
                    rarity * 2.2 * count / (count + 1.2 * (0.25 + 0.75 * self._lengths[place] / self._mean))  # type: ignore[assignment]
                )
        return [self._paths[place] for place, _ in scores.most_common(40)]


def distinct(paths: Sequence[Path]) -> list[Path]:
    """Return `paths`, each once."""
    return list(dict.fromkeys(paths))


def figures(questions: Sequence[Asked], ranked: Sequence[Sequence[Path]]) -> str:
    """Return recall at 1, 5 and 10 (one right file among them) and nDCG at 10 of the passages' files."""
    pairs = list(zip(questions, map(distinct, ranked), strict=True))
    at = [sum(not asked.files.isdisjoint(paths[:most]) for asked, paths in pairs) / len(pairs) for most in (1, 5, 10)]
    gain = sum(_ndcg(asked.files, paths[:10]) for asked, paths in pairs) / len(pairs)
    return " ".join(f"{value:.3f}" for value in (*at, gain))


def _ndcg(right: frozenset[Path], paths: Sequence[Path]) -> float:
    gained = sum(1 / math.log2(place + 2) for place, path in enumerate(paths) if path in right)
    return gained / sum(1 / math.log2(place + 2) for place in range(min(len(right), 10)))


def measure_documents(name: str, data: Path, folder: Path) -> None:
    """Print what is found in the set `name`."""
    target = folder / name
    target.mkdir()
    questions = [each for each in SETS[name](data, target) if each.files]
    random.Random(1).shuffle(questions)
    questions = questions[:QUESTIONS]
    with DocumentIndex(folder / f"{name}.db") as index:
        index.update([str(target)])
        passages = [each for file in sorted(target.rglob("*")) for each in index.passages(file)]
        found, cost = searched(index, questions)
        again, costs = found, []
        if is_installed():
            BY_MEANING.set(True)
            for _ in range(2):
                again, each = searched(index, questions)
                costs.append(each)
            BY_MEANING.set(False)
        unanswered = standard_library.UNANSWERED if name == "modules" else OFF_TOPIC
        off_topic = [index.search(question) for question in unanswered.split("\n") if question]
    plain = PlainBM25([(each.path, each.text) for each in passages])
    paths = [[each.path for each in hits] for hits in found]
    exact = [is_exact(each) for hits in found for each in hits[:10]]
    print(f"{name}: {len(questions)} questions, {len(passages)} passages")
    print(
        f"  recall at 1, 5, 10, nDCG: BM25 {figures(questions, [plain.search(each.text) for each in questions])}; ",
        end="",
    )
    print(f"ours {figures(questions, paths)}; {cost:.0f} ms of CPU a search, exact {sum(exact)} of {len(exact)}")
    if costs:
        print(f"  with the extra {figures(questions, [[each.path for each in hits] for hits in again])}; ", end="")
        print(f"{costs[0]:.0f} ms of CPU a search, {costs[1]:.0f} once the vectors are kept")
    strong = [list(map(_path, hits)) if not is_refused(hits) else [] for hits in found]
    print(f"  with the gate {figures(questions, strong)}; refused {sum(map(is_refused, found))}; ", end="")
    print(f"off-topic refused {sum(map(is_refused, off_topic))} of {len(off_topic)}", flush=True)


def searched(index: DocumentIndex, questions: Sequence[Asked]) -> tuple[list[list[Passage]], float]:
    """Return what is found for each question, and the milliseconds of CPU that a search takes."""
    begun = time.process_time()
    found = [index.search(each.text, limit=40) for each in questions]
    return found, 1000 * (time.process_time() - begun) / len(questions)


def _path(found: Passage) -> Path:
    return found.path


def is_refused(found: Sequence[Passage]) -> bool:
    """Return whether an answer would say that nothing was found."""
    return all(each.weak for each in found)


def measure_threads(data: Path, folder: Path) -> None:
    """Print how much of LoCoMo's evidence is in what `/recall` sends; each conversation is a store."""
    text = (fetched("snap-research/locomo", data) / "data/locomo10.json").read_text()
    samples = json.loads(text)
    stores = [store_of(sample["conversation"], folder / f"{number}.db") for number, sample in enumerate(samples)]
    for kind in ("words", "with the extra") if is_installed() else ("words",):
        BY_MEANING.set(kind != "words")
        rates: list[float] = []
        whole: list[bool] = []
        cost = 0.0
        for sample, threads in zip(samples, stores, strict=True):
            for asked in sample["qa"]:
                evidence = [each for part in asked["evidence"] for each in re.findall(r"D\d+:\d+", part)]
                if not evidence:
                    continue
                begun = time.process_time()
                sent = recall(threads, asked["question"], without="", characters=10**9).excerpts
                cost += time.process_time() - begun
                said = "\n".join(f"{each.question}\n{each.answer}" for each in sent)
                found = sum(f"({name})" in said for name in evidence)
                rates.append(found / len(evidence))
                whole.append(bool(threads.search(asked["question"])))
        share = sum(rates) / len(rates)
        print(
            f"locomo, {kind}: {len(rates)} questions, {share:.3f} of the evidence in {MAX_EXCERPTS} exchanges, ", end=""
        )
        print(f"{1000 * cost / len(rates):.0f} ms of CPU each; `threads search` finds something for {sum(whole)}")
    BY_MEANING.set(False)


def store_of(conversation: dict[str, Any], file: Path) -> SqliteThreads:
    """Return a store at `file` with a thread for each session of `conversation`, whose first speaker is the user."""
    connection = sqlite3.connect(file)
    connection.executescript("CREATE TABLE checkpoints (thread_id, checkpoint_ns, checkpoint_id, metadata);")
    connection.executescript(f"{schema.TABLES} {schema.TRIGGERS}")
    speaker = conversation["speaker_a"]
    for number in range(1, 100):
        session = conversation.get(f"session_{number}")
        if not session:
            continue
        moment = datetime.strptime(conversation[f"session_{number}_date_time"], "%I:%M %p on %d %B, %Y")
        day = moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")
        values = (f"session{number}", f"Session {number}", "", 1, day, day)
        connection.execute("INSERT INTO threads VALUES (?, ?, ?, ?, ?, ?)", values)
        for said in session:
            role = "user" if said["speaker"] == speaker else "assistant"
            text = f"{said['speaker']}: {said['text']} {said.get('blip_caption', '')} ({said['dia_id']})"
            connection.execute(schema.ADD_MESSAGE, (f"session{number}", said["dia_id"], "c", role, text, False))
    connection.commit()
    connection.close()
    return SqliteThreads(file)


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    cache = Path(tempfile.gettempdir()) / "chatcli-bench"
    parser.add_argument("--data", type=Path, default=cache, help="for downloads")
    parser.add_argument("sets", nargs="*", default=[*SETS, "locomo"], metavar="SET", help=", ".join([*SETS, "locomo"]))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")  # no vectors of earlier searches
        for each in arguments.sets:
            if each == "locomo":
                measure_threads(arguments.data, folder)
            else:
                measure_documents(each, arguments.data, folder)


if __name__ == "__main__":
    main()
