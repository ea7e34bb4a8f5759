"""Chats as people keep them: OpenAI's `messages` and ShareGPT's `conversations`, as turns with a role and a text."""

from collections.abc import Mapping, Sequence
from typing import Any

from selfplay.errors import DataError

_ROLES = {
    "human": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "developer": "system",
}
"""Other names of the roles; `system`, `user` and `assistant` stay as they are."""
_SAID_ELSEWHERE = frozenset({"name", "weight"})
"""Keys of OpenAI's turns that change no text."""
Turn = dict[str, Any]


def turns_of(given: Any) -> Any:
    """A list of turns as `{role, content}`; whatever is no such list is returned as it is, for the caller to refuse.

    A turn is `{role, content}` or `{from, value}`; a content may be a list of `{type: text, text: ...}`, which are joined.
    """
    if not isinstance(given, Sequence) or isinstance(given, str):
        return given
    return [_turn(one) if isinstance(one, Mapping) else one for one in given]


def _turn(given: Mapping[str, Any]) -> Turn:
    turn = {key: value for key, value in given.items() if value is not None and key not in _SAID_ELSEWHERE}
    if "from" in turn and "role" not in turn:
        turn["role"] = turn.pop("from")
    if "value" in turn and "content" not in turn:
        turn["content"] = turn.pop("value")
    role, content = turn.get("role"), turn.get("content")
    if isinstance(role, str):
        turn["role"] = _ROLES.get(role.lower(), role.lower())
    if isinstance(content, list) and all(isinstance(part, Mapping) and part.get("type") == "text" for part in content):
        turn["content"] = "".join(str(part.get("text", "")) for part in content)
    return turn


def cut_reply(turns: Any, where: str, column: str, *, needed: bool) -> tuple[Any, str | None]:
    """The turns before the last one of the assistant, and its text; without a closing reply all turns and None.

    `needed`: what follows the last reply is left out too; raises DataError if there is none.
    """
    if not isinstance(turns, list):
        return turns, None
    replies = [n for n, turn in enumerate(turns) if isinstance(turn, Mapping) and turn.get("role") == "assistant"]
    if needed and not replies:
        raise DataError(
            f"{where}: column {column!r} has no turn of the assistant, which tasks.fields takes as the reference or the answer; "
            "add the reply, or remove the row"
        )
    if not replies or not (needed or replies[-1] == len(turns) - 1):
        return turns, None
    reply = turns[replies[-1]].get("content")
    return turns[: replies[-1]], reply if isinstance(reply, str) else None
