"""A role's template as a langchain prompt: the system prompt, then the conversation."""

from collections.abc import Mapping, Sequence

from langchain_core.messages import BaseMessage

_CONVERSATION = "messages"


def fill_template(template: str, variables: Mapping[str, str], messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """Return the system message that a role's `template` makes of `variables`, and `messages` as the same objects."""
    # Late, since it brings a parser of YAML: a plain conversation has no template, and starts without it.
    from langchain_core.prompts.chat import ChatPromptTemplate, MessagesPlaceholder

    prompt = ChatPromptTemplate.from_messages([("system", template), MessagesPlaceholder(_CONVERSATION)])
    return prompt.format_messages(**variables, **{_CONVERSATION: list(messages)})
