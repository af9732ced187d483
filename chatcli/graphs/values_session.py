"""A session on a graph that takes values beside the messages: a user graph, or one on a LangGraph server."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import Any, Protocol

from langchain_core.messages import HumanMessage

from chatcli.config.values import TypedText
from chatcli.errors import ChatcliError, UsageError
from chatcli.events import Event, Notice
from chatcli.graphs.values import KINDS, GivenValues, GraphValues, Kind, reserved, unknown_key, wrong_value
from chatcli.models.names import ModelName
from chatcli.sessions.session import Session
from chatcli.sessions.state import fields_of
from chatcli.sessions.thread import GraphThread, messages_of
from chatcli.sessions.turn import RunningTurn
from chatcli.store.errors import as_failure


class Fields(Protocol):
    """The fields of a schema: `known` by their names; if `is_open`, there may be others."""

    known: Mapping[str, Any]
    is_open: bool

    def type_name(self, name: str) -> str:
        """Return the type of the field `name` for people."""

    def problems(self, name: str, readings: Sequence[Any]) -> Sequence[str | None]:
        """Return why the field `name` can't have each of `readings`, "" for no words; None for one that it can have."""


class Schemas(ABC):
    """Which values a graph takes, and of which types; the field `question_key` of its input takes the question."""

    def __init__(self, context: Fields, taken: Fields, question_key: str) -> None:
        self._context, self._input = context, taken
        self._question_key = question_key

    def types(self) -> dict[tuple[Kind, str], str]:
        """Return the type of each field that may be given."""
        context: dict[tuple[Kind, str], str] = {
            ("context", name): self._context.type_name(name) for name in self._context.known
        }
        return {**context, **{("input", name): self._input.type_name(name) for name in self.input_names}}

    @property
    def input_names(self) -> list[str]:
        """The fields of the input beside the question."""
        return [name for name in self._input.known if name != self._question_key]

    def settle(self, kind: Kind, key: str, value: Any) -> Any:
        """Return `value`, or what a `TypedText` means, as JSON of the type of `key`; refuse other types and keys."""
        if kind == "configurable" and (problem := reserved(key)):
            raise UsageError(problem, remedy="Leave it out.")
        if kind == "input" and key == self._question_key:
            raise UsageError(f"the field {key} of the graph's input takes the question", remedy="Leave it out.")
        fields = self._input if kind == "input" else self._context
        readings = value.readings() if isinstance(value, TypedText) else [value]
        if key not in fields.known:
            if kind != "configurable" and not fields.is_open:
                raise unknown_key(kind, key, [name for of, name in self.types() if of == kind])
            return readings[0]
        problems = fields.problems(key, readings)
        if None in problems:
            return readings[problems.index(None)]
        raise wrong_value(kind, key, readings[0], fields.type_name(key), problems[0] or "")

    @abstractmethod
    def run(self, values: GraphValues) -> tuple[Any, Mapping[str, Any]]:
        """Return the part of the settled `values` that a run gets: the runtime context, and what is configurable.

        Raises UsageError if a required one is missing.
        """

    def input(self, given: Mapping[str, Any], state: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the values `given` for the graph's input; raise UsageError if one is missing there and in `state`.

        An app on a server says itself whether one is missing.
        """
        return given

    def missing_in(self, error: BaseException, lacking: Iterable[str]) -> ChatcliError | None:
        """Return the error to show if the graph failed for want of fields of its input that were `lacking`."""
        return None


class ValuesSession(Session):
    """Runs turns on one thread of a graph whose `schemas` say what it takes, with the values that the user gave."""

    # Values are checked when a turn begins, so that `/set` can still mend what the command line got wrong. A turn that
    # is refused stores and remembers nothing. This run gives the values `given`, `first` on its first thread; the user
    # gave the thread the values `remembered` before. `remember` is called off the loop's thread.
    def __init__(
        self,
        thread: GraphThread,
        name: ModelName,
        schemas: Schemas,
        *,
        given: GivenValues,
        first: bool,
        remembered: GraphValues,
        remember: Callable[[GraphValues], None],
        explain: Callable[[BaseException], ChatcliError] = as_failure,
    ) -> None:
        super().__init__(thread, name)
        self.schemas = schemas
        self._explain_other = explain
        self._remember = remember
        self._remembered = remembered
        chosen = given.chosen if first else GraphValues()
        self.values = given.for_thread(remembered, first=first)
        self._unsettled = {(kind, key) for kind in KINDS for key in self.values.of(kind)}
        self._foreign = {(kind, key) for kind in KINDS for key in remembered.of(kind) if key not in chosen.of(kind)}
        """What is only remembered: it may have been given to another graph."""
        self._new_input = {key for key in self.values.input if ("input", key) not in self._foreign}
        """The keys of the input that no turn has sent yet."""
        self._lacking: list[str] = []
        """The fields of the input that the running turn begins without."""
        self._notices: list[Notice] = []

    async def set_value(self, kind: Kind, key: str, value: Any) -> None:
        """Give the graph `value` from the next turn on."""
        self.values = self.values.with_value(kind, key, self.schemas.settle(kind, key, value))
        self._unsettled.discard((kind, key))
        if kind == "input":
            self._new_input.add(key)
        await self._keep_values()

    async def _input(self, question: HumanMessage) -> Any:
        self._turn_context()  # what it refuses is refused first
        asked = await super()._input(question)
        snapshot = await self._thread.snapshot()
        state = fields_of(snapshot.values)
        # The thread's state keeps what it got: a graph may have changed it since, and a reducer would add it again.
        begins = not messages_of(snapshot)
        given = {
            key: value
            for key, value in self.values.input.items()
            if begins or key in self._new_input or key not in state
        }
        other_input = self.schemas.input(given, state)
        self._lacking = [name for name in self.schemas.input_names if name not in given and name not in state]
        return {**other_input, **asked} if isinstance(asked, Mapping) else asked

    async def _go_to(self, number: int | None, checkpoint_id: str | None) -> None:
        """Go there; what the state that is left holds as the user set it stays set."""
        left = fields_of((await self._thread.snapshot()).values) if self.values.input else {}
        await super()._go_to(number, checkpoint_id)
        if left:
            state = fields_of((await self._thread.snapshot()).values)
            self._new_input |= {key for key, own in self.values.input.items() if left.get(key) == own != state.get(key)}

    def _new_turn(self, graph_input: Any, question: HumanMessage | None) -> RunningTurn:
        turn = super()._new_turn(graph_input, question)
        if isinstance(graph_input, Mapping):
            self._new_input.clear()
        while self._notices:
            turn.announce(self._notices.pop(0))
        return turn

    async def _run(self, turn: RunningTurn) -> AsyncGenerator[Event, None]:
        await self._keep_values()
        async with aclosing(super()._run(turn)) as events:
            async for event in events:
                yield event

    def _has_new_input(self) -> bool:
        return bool(self._new_input)

    def _turn_context(self) -> Any:
        """Return the runtime context, and let the thread's runs have what is configurable."""
        self._settle()
        context, configurable = self.schemas.run(self.values)
        self._thread = replace(self._thread, configurable=configurable)
        return context

    def _settle(self) -> None:
        """Check the values against the graph's schemas; drop what was given to another graph, with a notice."""
        for kind, key in sorted(self._unsettled):
            try:
                value = self.schemas.settle(kind, key, self.values.of(kind)[key])
            except UsageError as error:
                if (kind, key) not in self._foreign:
                    raise
                self.values = self.values.without(kind, key)
                self._notices.append(Notice(f"{error.message}: what the thread remembers of it is left out", "warning"))
            else:
                self.values = self.values.with_value(kind, key, value)
            self._unsettled.discard((kind, key))

    async def _keep_values(self) -> None:
        if self._unsettled or self.values == self._remembered:
            return
        with suppress(OSError):  # then the thread needs them the next time
            await asyncio.to_thread(self._remember, self.values)
        self._remembered = self.values

    def _explain(self, error: BaseException) -> ChatcliError:
        missing = None if isinstance(error, ChatcliError) else self.schemas.missing_in(error, self._lacking)
        if missing is not None:
            missing.__cause__ = error
        return missing or self._explain_other(error)
