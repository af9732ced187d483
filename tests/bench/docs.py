"""Measures documents on public data: what a search finds, what an index costs: `python -m tests.bench.docs`.

The questions are headings, and first sentences of docstrings, that are removed from the text they stand above. So a
search can't find the question itself, only what answers it. Two sets come from source distributions that pip downloads,
one from the packages that are installed.
"""

import argparse
import ast
import json
import random
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

from chatcli.documents.index import DocumentIndex
from chatcli.documents.passage import Passage

QUESTIONS = 150
"""The most questions of a set."""
FILES, PASSAGES = 10_000, 100_000
SDISTS = {"django": ("Django", "docs"), "celery": ("celery", "docs")}
PACKAGES = ("langchain_core", "openai", "rich", "pydantic", "pypdf", "prompt_toolkit", "httpx", "numpy", "PIL")
OFF_TOPIC = """
What is the capital of France?
How do I bake sourdough bread without a starter?
What are the side effects of ibuprofen?
How long should I boil an egg?
Which vitamins does a pregnant woman need?
How do I remove red wine stains from a carpet?
What is the best time to plant tomatoes?
How many players are on a basketball team?
What does a cardiologist do?
Which wine goes well with salmon?
How much does a giraffe weigh?
Can I take my cat on an airplane?
What are the symptoms of appendicitis?
Who wrote Pride and Prejudice?
What is the average rainfall in Seattle?
How do I knit a scarf for beginners?
What is the currency of Thailand?
How do volcanoes erupt?
What is our refund policy for damaged furniture?
How many vacation days do employees get in their first year?
When does the swimming pool open on Sundays?
Does the warranty of the dishwasher cover water damage?
Who directed the movie Casablanca?
How do I prune an apple tree in winter?
Which planet has the most moons?
How do bees make honey?
ancient egyptian burial rituals
wie hoch ist der Eiffelturm?
quelle est la recette de la ratatouille ?
who was Napoleon's first wife
"""
_RULE = re.compile(r"([=\-~^\"'`#*+])\1{2,}\s*$")
_ROLE = re.compile(r":[a-z:]+:`([^`<]*)[^`]*`")
_WORDS = re.compile(r"[A-Za-z]{3,}")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Question:
    """A text, and the lines of the file that answer it."""

    text: str
    file: Path
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Timed:
    """Seconds of wall time and of CPU."""

    wall: float
    cpu: float


def timed(work: Callable[[], T]) -> tuple[Timed, T]:
    """Return what `work` costs and returns."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return Timed(time.perf_counter() - wall, time.process_time() - cpu), result


def sdist_set(name: str, data: Path, target: Path) -> list[Question]:
    """Write the documentation of a source distribution to `target` without its headings, which are the questions."""
    project, folder = SDISTS[name]
    if not list(data.glob(f"{name}-*.tar.gz")):
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:", "-d", str(data)]
        subprocess.run([*command, project], check=True)
    with tempfile.TemporaryDirectory() as unpacked, tarfile.open(next(data.glob(f"{name}-*.tar.gz"))) as archive:
        archive.extractall(unpacked, filter="data")
        (docs,) = Path(unpacked).glob(f"*/{folder}")
        files = sorted(file for file in docs.rglob("*") if file.suffix in (".txt", ".rst"))
        return [found for file in files for found in without_headings(file, target / file.relative_to(docs))]


def without_headings(file: Path, copy: Path) -> Iterator[Question]:
    """Write `file`, reStructuredText, to `copy`, and yield the headings that are left out."""
    lines = file.read_text(encoding="utf-8", errors="replace").split("\n")
    heads = [
        number - 1
        for number in range(1, len(lines))
        if _RULE.match(lines[number])
        and lines[number - 1][:1].strip()
        and len(lines[number].rstrip()) >= len(lines[number - 1].rstrip())
        and not _RULE.match(lines[number - 1])
    ]
    copied = list(lines)
    for head, end in zip(heads, [*heads, len(lines)][1:], strict=True):
        title = re.sub("[`*]", "", _ROLE.sub(r"\1", lines[head])).strip()
        if len(_WORDS.findall(title)) >= 3 and len("\n".join(lines[head + 2 : end]).strip()) > 300:
            copied[head] = copied[head + 1] = ""
            if head and _RULE.match(lines[head - 1]):
                copied[head - 1] = ""
            yield Question(title, copy, head + 3, end)
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.write_text("\n".join(copied), encoding="utf-8")


def docstring_set(target: Path) -> list[Question]:
    """Write the code of installed packages to `target` without the first sentences of docstrings, the questions."""
    installed = Path(sysconfig.get_path("purelib"))
    files = sorted(file for name in PACKAGES for file in (installed / name).rglob("*.py"))
    return [found for file in files for found in without_docstrings(file, target / file.relative_to(installed))]


def without_docstrings(file: Path, copy: Path) -> Iterator[Question]:
    """Write `file`, Python code, to `copy`, and yield the first lines of docstrings that are left out."""
    text = file.read_text(encoding="utf-8")
    lines = text.split("\n")
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        docstring = ast.get_docstring(node, clean=False) or ""
        first = docstring.strip().split("\n")[0].strip()
        if len(_WORDS.findall(first)) < 4 or len(docstring) < 300:
            continue
        for number in range(node.body[0].lineno - 1, node.body[0].end_lineno or 0):
            if first in lines[number]:
                lines[number] = lines[number].replace(first, "")
                yield Question(first, copy, node.lineno, node.end_lineno or node.lineno)
                break
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.write_text("\n".join(lines), encoding="utf-8")


def rank(question: Question, passages: Sequence[Passage]) -> int:
    """Return the place of the first passage that answers `question`, counted from 1, or 0."""
    for place, passage in enumerate(passages, 1):
        start, end = passage.start_line or 0, passage.end_line or 0
        if passage.path == question.file and start <= question.last and end >= question.first:
            return place
    return 0


def figures(ranks: Sequence[int]) -> str:
    """Return recall at 5 and 10 and the mean reciprocal rank."""
    at_5, at_10 = (sum(0 < rank <= most for rank in ranks) / len(ranks) for most in (5, 10))
    return f"recall {at_5:.3f} at 5, {at_10:.3f} at 10; MRR {sum(1 / rank for rank in ranks if rank) / len(ranks):.3f}"


def is_exact(passage: Passage) -> bool:
    """Return whether the file has the passage's text at its lines."""
    lines = passage.path.read_bytes().decode().replace("\r\n", "\n").replace("\r", "\n").split("\n")
    assert passage.start_line is not None
    return passage.text == "\n".join(lines[passage.start_line - 1 : passage.end_line])


def measure_set(name: str, questions: Sequence[Question], folder: Path, dense: str | None) -> None:
    """Print what is found for `questions` in `folder`, and whether off-topic questions find nothing."""
    with DocumentIndex(folder.parent / f"{name}.db") as index:
        index.update([str(folder)])
        (source,) = index.sources()
        found = [[hit for hit in index.search(question.text) if not hit.weak] for question in questions]
        off_topic = [question for question in OFF_TOPIC.split("\n") if question]
        answered = sum(any(not hit.weak for hit in index.search(question)) for question in off_topic)
        passages = [passage for file in sorted(folder.rglob("*")) for passage in index.passages(file)]
    shown = [passage for matches in found for passage in matches]
    print(f"\n{name}: {len(questions)} questions, {source.files} files, {source.passages} passages")
    print(f"  words: {figures([rank(*pair) for pair in zip(questions, found, strict=True)])}")
    print(f"  exact citations: {sum(map(is_exact, shown))} of {len(shown)}")
    print(f"  nothing found: {sum(not matches for matches in found)} of {len(found)} questions of the set, ", end="")
    print(f"{len(off_topic) - answered} of {len(off_topic)} off-topic")
    if dense:
        measure_dense(dense, questions, passages, found)


def measure_dense(
    python: str, questions: Sequence[Question], passages: Sequence[Passage], found: Sequence[Sequence[Passage]]
) -> None:
    """Print what a vector store with an embedding finds, alone and fused with words."""
    texts = [passage.text for passage in passages]
    asked = json.dumps({"passages": texts, "questions": [question.text for question in questions]})
    script = Path(__file__).with_name("vector_store.py")
    done = subprocess.run([python, str(script)], input=asked, stdout=subprocess.PIPE, text=True, check=True)
    answer = json.loads(done.stdout)
    nearest = [[passages[number] for number in numbers] for numbers in answer["nearest"]]
    print(f"  vector store: {figures([rank(*pair) for pair in zip(questions, nearest, strict=True)])}; ", end="")
    print(f"{answer['index']:.0f} s of CPU to index, {1000 * answer['search']:.0f} ms a search")
    fused = [fuse(words, near) for words, near in zip(found, nearest, strict=True)]
    print(f"  both, fused 2:1: {figures([rank(*pair) for pair in zip(questions, fused, strict=True)])}")


def fuse(words: Sequence[Passage], near: Sequence[Passage]) -> list[Passage]:
    """Return both lists as one, by reciprocal rank; `words` count twice."""
    scores: dict[Passage, float] = {}
    for weight, passages in ((2, words), (1, near)):
        for place, passage in enumerate(passages):
            scores[passage] = scores.get(passage, 0.0) + weight / (60 + place)
    return sorted(scores, key=scores.__getitem__, reverse=True)


def measure_scale(folder: Path, questions: Sequence[Question]) -> None:
    """Print what an index of 10,000 files costs, and a search in 100,000 passages; the files are installed code."""
    installed = Path(sysconfig.get_path("purelib"))
    code = (file for file in sorted(installed.rglob("*.py")) if file.stat().st_size > 300)
    docs, index_file = folder / "scale", folder / "scale.db"
    copy_files(code, FILES, installed, docs)
    time.sleep(2.1)  # what is younger than two seconds is hashed again
    with DocumentIndex(index_file) as index:
        cost, _ = timed(lambda: index.update([str(docs)]))
        (source,) = index.sources()
        size = source.bytes / 1e6
        speeds = f"{size / cost.wall:.1f} MB/s; of CPU {size / cost.cpu:.1f} MB/s"
        print(f"\n{source.files} files, {size:.0f} MB: {speeds}")
        walks = [timed(lambda: walk(docs))[0] for _ in range(5)]
        updates = []
        for number in range(5):
            (docs / "changed.py").write_text(f"number = {number}\n")
            updates.append(timed(lambda: index.update([str(docs)]))[0])
        walked, updated = (min(cost.wall for cost in costs) for costs in (walks, updates))
        cpu = min(cost.cpu for cost in updates) / min(cost.cpu for cost in walks)
        print(f"a question after one change / os.walk with a stat a file: {updated / walked:.2f}; of CPU {cpu:.2f}")
        for program in (["rg", "--files", str(docs)], ["find", str(docs), "-printf", "%s %T@\\n"]):
            if shutil.which(program[0]):
                print(f"a question after one change / {program[0]}: {updated / quickest_run(program):.2f}")
        while index.sources()[0].passages < PASSAGES and copy_files(code, 500, installed, docs):
            index.update([str(docs)])
        (source,) = index.sources()
        texts = [question.text for question in questions]
        costs = sorted(timed(lambda: index.search(text))[0].cpu * 1000 for text in texts)  # noqa: B023
        print(
            f"a search in {source.passages} passages: {sum(costs) / len(costs):.0f} ms of CPU, at most {costs[-1]:.0f}"
        )
    print(f"index / text: {index_file.stat().st_size / source.bytes:.2f}")


def quickest_run(program: Sequence[str]) -> float:
    """Return the seconds of the quickest of five runs of `program`."""
    return min(timed(lambda: subprocess.run(program, stdout=subprocess.DEVNULL, check=True))[0].wall for _ in range(5))


def copy_files(files: Iterator[Path], count: int, base: Path, target: Path) -> int:
    """Copy the next `count` of `files`; return how many there were."""
    copied = 0
    for file in islice(files, count):
        copy = target / file.relative_to(base)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
        copied += 1
    return copied


def walk(folder: Path) -> int:
    """Return how many bytes the files below `folder` have."""
    import os

    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            total += os.stat(f"{path}/{name}").st_size  # noqa: PTH116 - the quickest way
    return total


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data", type=Path, default=Path(tempfile.gettempdir()) / "chatcli-bench", help="for downloads"
    )
    parser.add_argument("--dense", metavar="PYTHON", help="an interpreter with what vector_store.py needs")
    arguments = parser.parse_args()
    arguments.data.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        sets = {name: sdist_set(name, arguments.data, folder / name) for name in SDISTS}
        sets["docstrings"] = docstring_set(folder / "docstrings")
        for name, questions in sets.items():
            random.Random(1).shuffle(questions)
            sets[name] = questions[:QUESTIONS]
            # The vector store would take an hour for the code.
            measure_set(name, sets[name], folder / name, arguments.dense if name in SDISTS else None)
        measure_scale(folder, sets["docstrings"])


if __name__ == "__main__":
    main()
