"""A role's template as a langchain prompt: the system prompt, then the conversation."""

from collections.abc import Mapping, Sequence

from langchain_core.messages import BaseMessage, SystemMessage
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder

_CONVERSATION = "messages"


def role_prompt(template: str) -> ChatPromptTemplate:
    """Return the prompt of a role whose system prompt is `template`."""
    return ChatPromptTemplate.from_messages([("system", template), MessagesPlaceholder(_CONVERSATION)])


def text_prompt(system: str) -> ChatPromptTemplate:
    """Return the prompt of a thread whose system prompt is plain text, in which braces have no meaning."""
    conversation = MessagesPlaceholder(_CONVERSATION)
    if not system:
        return ChatPromptTemplate.from_messages([conversation])
    return ChatPromptTemplate.from_messages([SystemMessage(system), conversation])


def fill_prompt(
    prompt: ChatPromptTemplate, variables: Mapping[str, str], messages: Sequence[BaseMessage]
) -> list[BaseMessage]:
    """Return the system message, if there is one, and `messages` as the same objects."""
    return prompt.format_messages(**variables, **{_CONVERSATION: list(messages)})
