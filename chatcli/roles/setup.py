"""How a thread is answered: what its state keeps beside its messages, so that a resumed thread has it again."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from chatcli.errors import UsageError
from chatcli.roles.role import Role


@dataclass(frozen=True, slots=True)
class Setup:
    """A thread's system prompt, as a text or as a role with its variables, and its model.

    The role's template is kept itself: a thread goes on when the role's file changes or goes.
    """

    system: str = ""
    role: str = ""
    template: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    temperature: float | None = None
    model: str = ""
    base_url: str = ""
    """The server that the model was asked at, where that is not its provider's own."""

    def with_system(self, text: str) -> Self:
        """Return this setup with the system prompt `text` in place of a role or another text."""
        return replace(self, system=text, role="", template="", variables={}, temperature=None)

    def with_role(self, role: Role, given: Mapping[str, str]) -> Self:
        """Return this setup with `role`, the variables `given`, and the temperature and model that the role asks for.

        Raises:
            UsageError: A variable is missing or unknown.

        """
        return replace(
            self,
            system="",
            role=role.name,
            template=role.template,
            variables=role.fill(given),
            temperature=role.temperature,
            model=role.model or self.model,
            base_url="" if role.model else self.base_url,
        )

    def with_variables(self, given: Mapping[str, str]) -> Self:
        """Return this setup with other values of its role's variables.

        Raises:
            UsageError: There is no role, or it has no such variable.

        """
        if not self.role:
            raise UsageError("variables belong to a role, and this thread has none", remedy="Choose one: /role NAME")
        kept = Role(self.role, self.template, defaults=self.variables)
        return replace(self, variables=kept.fill(given))

    def with_model(self, name: str, base_url: str) -> Self:
        """Return this setup with the model `name` at `base_url`, empty for its provider's own server."""
        return replace(self, model=name, base_url=base_url)
