"""How many everyday tasks the local models do right, without and with a system prompt.

Usage: python -m tests.bench.local_model [--model NAME] [--prompt NAME] [--repeats N] [--answers FILE] [--show]

Every answer is appended to FILE as it comes, and a task whose answer stands there is not asked again: a run can be
stopped and continued, and `--repeats 0` prints the tables of what there is. `--memory` measures memory and start-up.
"""

import argparse
import asyncio
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from chatcli.config.settings import Settings
from chatcli.conversation.backend import LocalBackend
from chatcli.conversation.compose import compose
from chatcli.conversation.conversation import Conversation
from chatcli.events import Progress, TurnFinished
from chatcli.models.local import model as local
from chatcli.models.local.client import LocalServer
from chatcli.models.local.pulled import find_model
from chatcli.models.local.weights import QWEN, QWEN_LARGE, Weights
from chatcli.models.openai import chat_client
from chatcli.sessions.requests import Ask
from chatcli.store.location import StoreLocation
from tests.bench.everyday_tasks import CHOOSING, CONFIRMING, TASKS, Task
from tests.models.local.shared_cache import cache_folder

MODELS = (QWEN.name, QWEN_LARGE.name)
PROMPTS = {
    # Qwen's template then begins with its own: "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."
    "none": "",
    "helpful": "You are a helpful assistant. Answer briefly and use what the user told you earlier.",
    "exact": "Answer correctly and briefly, in the form that the user asks for.",
    "sent": local.SYSTEM,
    "steps": "You are a careful assistant. Do exactly what is asked and nothing else. Calculate step by step.",
}
BASE = "helpful"
"""The prompt that the others are compared with."""
LONGEST_ANSWER = 300
_FILLING = (("a short turn", 4), ("a full window", 8000), ("a short turn", 4), ("another short turn", 4))
"""The turns with which memory is measured: a name, and how many words. What a slot held is then kept aside."""
GROUPS = tuple(dict.fromkeys(task.group for task in TASKS))


class Answer(NamedTuple):
    """The answer to the last turn of a task, the tokens of all its turns, and the server's CPU seconds for them."""

    model: str
    prompt: str
    repeat: int
    task: int
    text: str
    tokens: int
    cpu: float
    elapsed: float

    @property
    def right(self) -> bool:
        return TASKS[self.task].check(self.text)


def main() -> None:
    """Ask what has not been asked, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", choices=MODELS)
    parser.add_argument("--prompt", action="append", choices=PROMPTS)
    parser.add_argument("--half", choices=("choosing", "confirming"), help="ask this half of the tasks only")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--answers", type=Path, default=Path(tempfile.gettempdir(), "chatcli-everyday.jsonl"))
    parser.add_argument("--show", action="store_true", help="print the wrong answers")
    parser.add_argument("--memory", action="store_true", help="measure the servers' memory and start-up instead")
    options = parser.parse_args()
    answers_file = options.answers.absolute()
    prompts = options.prompt or list(PROMPTS)
    tasks = {"choosing": CHOOSING, "confirming": CONFIRMING}.get(options.half, TASKS)
    with tempfile.TemporaryDirectory() as folder:
        for name in ("CONFIG", "DATA", "STATE"):
            os.environ[f"XDG_{name}_HOME"] = str(Path(folder, name))
        os.environ["XDG_CACHE_HOME"] = str(cache_folder())
        os.environ["CHATCLI_LOCAL_IDLE_SECONDS"] = "5"
        os.chdir(folder)
        models = options.model or MODELS
        if options.memory:
            for model in models:
                asyncio.run(measure_memory(find_model(model)))
            return
        asyncio.run(ask_all(models, prompts, tasks, options.repeats, answers_file))
    answers = [one for one in read(answers_file) if one.prompt in prompts and TASKS[one.task] in tasks]
    for model in models:
        report(model, [one for one in answers if one.model == model], show=options.show)


def read(file: Path) -> Iterable[Answer]:
    with suppress(FileNotFoundError):
        for line in file.read_text().splitlines():
            yield Answer(**json.loads(line))


async def ask_all(
    models: Sequence[str], prompts: Sequence[str], tasks: Sequence[Task], repeats: int, file: Path
) -> None:
    """Ask all tasks of each repeat before the next one begins, so that a run which is stopped is balanced."""
    asked = {(one.model, one.prompt, one.repeat, one.task) for one in read(file)}
    for repeat in range(repeats):
        for model in models:
            server = LocalServer(find_model(model), on_progress=ignore)
            try:
                for task in tasks:
                    number = TASKS.index(task)
                    for prompt in prompts:
                        if (model, prompt, repeat, number) not in asked:
                            answer = await ask(server, model, prompt, repeat, number, task)
                            with file.open("a") as lines:
                                lines.write(f"{json.dumps(answer._asdict())}\n")
            finally:
                server.close()


async def take_turn(conversation: Conversation, text: str) -> TurnFinished:
    events = [event async for event in conversation.run(Ask(text))]
    end = events[-1]
    assert isinstance(end, TurnFinished), end
    return end


async def ask(server: LocalServer, model: str, prompt: str, repeat: int, number: int, task: Task) -> Answer:
    """Ask the turns of `task` on a thread of its own, with the number of the repeat as the sampler's seed."""
    pid = (await server.ensure()).pid
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "SYSTEM", PROMPTS[prompt])
        patch.setattr(local, "chat_client", partial(chat_client, seed=repeat))
        settings = Settings.load({"model": f"local:{model}", "max_tokens": LONGEST_ANSWER})
        conversation = compose(settings, "task", backend=LocalBackend(StoreLocation())).conversation()
        begun, cpu, tokens = time.monotonic(), cpu_seconds(pid), 0
        try:
            for turn in task.turns:
                end = await take_turn(conversation, turn)
                tokens += end.usage.output_tokens
        finally:
            await conversation.close()
    elapsed = time.monotonic() - begun
    return Answer(model, prompt, repeat, number, end.content, tokens, cpu_seconds(pid) - cpu, elapsed)


def report(model: str, answers: Sequence[Answer], *, show: bool) -> None:
    """Print the score of each prompt by group, the wrong answers if wanted, and what is noise."""
    if not answers:
        return
    prompts = [name for name in PROMPTS if any(one.prompt == name for one in answers)]
    right = {(one.prompt, one.repeat, one.task): one.right for one in answers}
    # Only what every prompt was asked is compared.
    pairs = {(repeat, task) for _prompt, repeat, task in right}
    pairs = {pair for pair in pairs if all((prompt, *pair) in right for prompt in prompts)}
    print(f"\n{model}: right of 100, of {len(pairs)} answers a prompt")
    print(f"{'':16}{''.join(f'{prompt:>9}' for prompt in prompts)}")
    choosing = {TASKS.index(task) for task in CHOOSING}
    rows = [(group, {pair for pair in pairs if TASKS[pair[1]].group == group}) for group in GROUPS]
    rows.append(("to choose", {pair for pair in pairs if pair[1] in choosing}))
    rows.append(("to confirm", {pair for pair in pairs if pair[1] not in choosing}))
    rows.append(("all", pairs))
    for name, some in rows:
        if some:
            scores = (100 * statistics.mean(right[prompt, *pair] for pair in some) for prompt in prompts)
            print(f"{name:16}{''.join(f'{score:9.0f}' for score in scores)}")
    compared = {prompt: [one for one in answers if one.prompt == prompt] for prompt in prompts}
    print_row("mean characters", [statistics.mean(len(one.text) for one in compared[prompt]) for prompt in prompts])
    print_row("tokens a CPU s", [sum(a.tokens for a in some) / sum(a.cpu for a in some) for some in compared.values()])
    print_row("tokens a second", [sum(a.tokens for a in c) / sum(a.elapsed for a in c) for c in compared.values()])
    print_comparison(prompts, right, pairs)
    if show:
        for one in answers:
            if not one.right:
                task = TASKS[one.task]
                print(f"\n[{model}, {one.prompt}, {one.repeat}] {task.group}: {task.turns[-1][:100]}\n{one.text}")


def print_row(name: str, values: Iterable[float]) -> None:
    print(f"{name:16}{''.join(f'{value:9.1f}' for value in values)}")


def print_comparison(
    prompts: Sequence[str], right: dict[tuple[str, int, int], bool], pairs: set[tuple[int, int]]
) -> None:
    """Print by how many points each prompt differs from `BASE`, and the difference's standard error.

    A task's repeats are one sample: they are alike, and their mean is compared. Below two standard errors, a
    difference is noise.
    """
    if BASE not in prompts or not pairs:
        return
    for prompt in prompts:
        differences = [
            statistics.mean(
                right[prompt, repeat, task] - right[BASE, repeat, task] for repeat, task in pairs if task == one
            )
            for one in {task for _repeat, task in pairs}
        ]
        if prompt != BASE and len(differences) > 1:
            error = statistics.stdev(differences) / len(differences) ** 0.5
            print(f"{prompt} against {BASE}: {100 * statistics.mean(differences):+.1f} points, error {100 * error:.1f}")


async def measure_memory(weights: Weights) -> None:
    """Print how long a server takes to start, and its peak memory as its window fills."""
    server = LocalServer(weights, on_progress=ignore)
    begun = time.monotonic()
    pid = (await server.ensure()).pid
    print(f"{weights.title}: loaded in {time.monotonic() - begun:.1f} s, {cpu_seconds(pid):.1f} s of CPU")
    print(f"  peak after loading: {peak_mb(pid):.0f} MB", flush=True)
    try:
        for name, words in _FILLING:
            settings = Settings.load({"model": f"local:{weights.name}", "max_tokens": 16})
            conversation = compose(settings, "memory", backend=LocalBackend(StoreLocation())).conversation()
            cpu = cpu_seconds(pid)
            end = await take_turn(conversation, f"{name}: " + "one two three four " * (words // 4))
            await conversation.close()
            spent = cpu_seconds(pid) - cpu
            print(
                f"  peak after {name} of {end.usage.input_tokens} tokens: {peak_mb(pid):.0f} MB ({spent:.0f} s of CPU)"
            )
    finally:
        server.close()


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process so far, of the system too."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_mb(pid: int) -> float:
    """Return the most memory that a process has held, in millions of bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1.024e-3 for line in lines if line.startswith("VmHWM"))


def ignore(_: Progress) -> None:
    """There is no screen."""


if __name__ == "__main__":
    main()
