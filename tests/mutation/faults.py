"""Faults in important places, each with the tests that notice it.

A fault stands for a promise: what a user, or the owner of a machine, relies on. A new promise adds its faults here. The
texts are as short as they can be, and may stand anywhere in a line.
"""

from typing import NamedTuple


class Fault(NamedTuple):
    """A fault: in `file`, `new` instead of `old`, which occurs there exactly once."""

    file: str
    tests: tuple[str, ...]
    what: str
    old: str
    new: str


def _faults(file: str, tests: str, *faults: tuple[str, str, str]) -> list[Fault]:
    """Return the `faults` (what is wrong, old, new) in chatcli/`file` that `tests`, files below tests/, notice."""
    return [Fault(f"chatcli/{file}", tuple(f"tests/{test}" for test in tests.split()), *each) for each in faults]


FAULTS = [
    *_faults(
        "config/trust.py",
        "config/test_trust.py",
        ("CHATCLI_TRUST trusts another folder", " and file.folder == Path.cwd().resolve()", ""),
        ("CHATCLI_TRUST trusts the parents", "file.folder == Path.cwd().resolve()", "Path.cwd().resolve().is_relative_to(file.folder)"),
        ("CHATCLI_TRUST=0 trusts", '.strip().lower() in _TRUE', ""),
        ("CHATCLI_TRUST=TRUE does not trust", ".strip().lower()", ".strip()"),
        ("a link out of the folder is read", "if not target.is_relative_to(folder):", "if False:"),
        ("a file is not checked before it is opened", "    _check(found)  #", "    #"),
        ("a file is not checked when it is open", "        _check(os.fstat(file.fileno()))", "        pass"),
        ("a link is followed that came meanwhile", "os.O_NOFOLLOW | ", ""),
        ("a large file is cut", "if len(content) > MAX_FILE_BYTES:", "if False:"),
        ("the largest file is refused", "found.st_size > MAX_FILE_BYTES", "found.st_size >= MAX_FILE_BYTES"),
        ("another user's file is read", "(0, os.geteuid())", "(0, os.geteuid(), found.st_uid)"),
        ("root's file is refused", "(0, os.geteuid())", "(os.geteuid(),)"),
        ("a pipe is read", "if not stat.S_ISREG(found.st_mode):", "if False:"),
        ("any content is trusted", ".get(file.name) == file.digest", ".get(file.name) is not None"),
        ("any name is trusted", ".get(file.name) == file.digest", ".get(file.name, file.digest) == file.digest"),
        ("what is declined is trusted", '_record(files, "declined", "trusted")', '_record(files, "trusted", "declined")'),
        ("a declined trust is forgotten", '_record(files, "declined", "trusted")', "pass"),
        ("an old refusal stays", "            data[other].get(str(file.folder), {}).pop(file.name, None)\n", ""),
        ("the other answers are lost", "for folder, names in data[other].items() if names", "for folder, names in {}.items() if names"),
        ("only the newest file of a folder is kept", ".setdefault(str(file.folder), {})[file.name] = file.digest", '[str(file.folder)] = {file.name: file.digest}'),
        ("a refusal is not forgotten", 'for name in ("trusted", "declined"):\n            data[name] = _section_or_none(data, name)\n            found', 'for name in ("trusted",):\n            data[name] = _section_or_none(data, name)\n            found'),
        ("all folders are forgotten", "data[name].pop(str(folder), None) is not None", "bool(data[name])\n            data[name] = {}"),
        ("a project's env file is outside of it", 'return "" if name.startswith("..") or os.path.isabs(name) else name', "return name"),
        ("a damaged list trusts", "raise ValueError(f'\"{name}\" is not a table of folders')", "return {}"),
        ("the content is in the repr", "field(repr=False)", "field()"),
        ("a name with blanks is not quoted", "shlex.quote(sanitize_line(place))", "sanitize_line(place)"),
    ),
    *_faults(
        "sessions/stream.py",
        "sessions/test_stream.py",
        ("a subgraph's todo list replaces the outer one", "and len(node[0]) <= self._todos_depth", ""),
        ("the outer todo list does not replace a subgraph's", "<= self._todos_depth", "< self._todos_depth"),
        ("middleware's own texts are shown", "and not _INTERNAL & metadata.keys()", ""),
        ("only one of middleware's marks is known", '{"lc_internal_call", "lc_source"}', '{"lc_internal_call"}'),
        ("a task is taken for one that begins alike", 'startswith(f"{task}|")', "startswith(task)"),
        ("a graph is taken for one that begins alike", 'inside[0].partition(":")[0] == name', "inside[0].startswith(name)"),
        ("a graph around it is left out of account", "streamed.node[0][: len(namespace)] == namespace and ", ""),
        ("a text is dropped as often as it is repeated", "                    streamed.repeated_by.add(by)\n", "                    pass\n"),
        ("joined texts are no repetition", "*([streamed] for streamed in shown), shown]", "*([streamed] for streamed in shown)]"),
        ("another run of a node is the same", "return streamed.task == task if streamed.task and task else", "return"),
        ("the usage is the last call's", "self.usage.input_tokens + counts", "counts"),
        ("the total is the last call's", "self.usage.total_tokens + counts", "counts"),
        ("the tokens are the last call's", "self.tokens += read_tokens", "self.tokens = read_tokens"),
        ("a reason to stop is lost", "finish_reason(message) or self.finish_reason", "finish_reason(message)"),
        ("several commands of a node are not read", "update if isinstance(update, list) else [update]", "[update]"),
        ("a call is shown twice", "if call_id not in self._calls:", "if True:"),
        ("a result is shown twice", "            self._finished_calls.add(call_id)\n", ""),
        ("a result comes before its call", "self._early_results.append(message)", "yield from self._read_result(message)"),
        ("an early result is lost at the end", "        yield from self._read_early_results()\n        for event in self._speakers", "        for event in self._speakers"),
        ("an earlier turn's call is shown", "isinstance(message, AIMessage) and message.id in self._streamed", "isinstance(message, AIMessage)"),
        ("an interrupt is a breakpoint", "self.paused or not interrupts", "True"),
        ("a breakpoint is forgotten", "self.paused or not interrupts", "not interrupts"),
        ("only the newest interrupt is asked", "            self.interrupts[interrupt.id] = interrupt", "            self.interrupts = {interrupt.id: interrupt}"),
        ("an answer is shown again", "not in (*shown[-1:], SEPARATOR.join(shown))", "not in ()"),
        ("an older text stands for the answer", "(*shown[-1:], SEPARATOR.join(shown))", "(*shown, SEPARATOR.join(shown))"),
        ("a node's messages do not end with it", "if streamed.node == node]", "if False]"),
        ("every node ends all messages", "if streamed.node == node]", "if True]"),
        ("an answer in a state is shown without text", "isinstance(message, AIMessage) and message.text:", "message.text:"),
    ),
    *_faults(
        "sessions/repair.py",
        "sessions/test_repair.py",
        ("an interrupt is an unfinished turn for the next one", "bool(snapshot.next) and not snapshot.interrupts and", "bool(snapshot.next) and"),
        ("an interrupt is an unfinished turn for its own process", "elif snapshot.next and not snapshot.interrupts:", "elif snapshot.next:"),
        ("another question's journal is written", " and partial.question_id in ids\n", "\n"),
        ("a beginning is compared as a whole", "message.text.startswith(partial.text)", "message.text == partial.text"),
        ("a partial answer is stored twice", '"" if _is_stored(partial, messages) else partial.text', "partial.text"),
        ("what a node stored is stored again", " and text not in known]", "]"),
        ("a stored message is stored again", "if message_id not in stored and text", "if text"),
        ("an older turn's text counts as stored", "messages[newest_turn(messages) :] if isinstance(m, AIMessage)", "messages if isinstance(m, AIMessage)"),
        ("the journal stays after a repair", "    await asyncio.to_thread(thread.threads.journal.clear, thread.id)\n", ""),
        ("a running turn is repaired", "    if not thread.threads.locks.try_lock(thread.id):\n        return []\n", ""),
        ("the lock stays after a repair", "        thread.threads.locks.unlock(thread.id)\n", "        pass\n"),
        ("a foreign thread is repaired", "if thread.node is not None and await thread.is_foreign():", "if False:"),
        ("a partial answer has no mark", '{**metadata, "finish_reason": INTERRUPTED}', "{**metadata}"),
        ("a partial answer loses its turn", '(snapshot.metadata or {}).items() if name.startswith("chatcli_")', "{}.items()"),
        ("a question loses the rest of its input", "question, other_input)", "question, {})"),
        ("a question belongs to the turn before", "thread.turn_number(new=True)", "thread.turn_number(new=False)"),
        ("a call gets no result", 'if call["id"] not in results]', "if False]"),
        ("a call gets a second result", 'if call["id"] not in results]', "]"),
        ("a repair is not reported", "    return unfinished\n", "    return False\n"),
    ),
    *_faults(
        "sessions/turn.py",
        "sessions/test_turn.py sessions/test_repair.py",
        ("a cut answer is not told", 'end.finish_reason == "length":', "False:"),
        ("the journal stays after a turn", "if self._journaled:", "if False:"),
        ("the journal is not written", "if (content := self._reader.newest) != kept:", "if False:"),
        ("the journal is another question's", "Partial(self._question_id, content)", 'Partial("", content)'),
        ("the lock stays after a turn", "            self._thread.threads.locks.unlock(self._thread.id)\n", "            pass\n"),
        ("the thread is not taken", "while not self._thread.threads.locks.try_lock(self._thread.id):", "while False:"),
        ("a turn does not repair the one before", "if await recover(thread, thread.config(self._name)):", "if False:"),
        ("a stopped turn keeps nothing", "await self._keep() if self._holding else", ""),
        ("a question that was never asked is lost", "if not self._holding:  #", "if False:  #"),
        ("a stop before the start is ignored", "        if self._stopped:\n            task.cancel()\n", ""),
        ("a failure is a stop", "if isinstance(error, InterruptedTurnError):", "if True:"),
        ("an interrupt is no end of its own", "if reader.interrupts:\n            return WAITING", "if False:\n            return WAITING"),
        ("a breakpoint is no end of its own", "if reader.paused and not reader.interrupts:", "if False:"),
        ("an empty answer is not told", "if self._thread.node is None and not reader.content:\n            return NO_ANSWER", "if False:\n            return NO_ANSWER"),
        ("an interrupt is not asked", "for request in as_requests(self._reader.interrupts.values()):", "for request in ():"),
        ("the price is lost", "cost_usd=self._cost(reader.tokens)", "cost_usd=None"),
        ("drafts are joined with the answer", "event == replace(text, text=event.text)", "text.text"),
        ("messages of an overwritten state are lost", "                await self._read_unstreamed()\n", ""),
    ),
]
