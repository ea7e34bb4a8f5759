"""Text to token ids and back to rows; the one place where a prompt's template is applied.

Sampling and training go through the same functions, so that a student is trained on exactly the ids it is asked with. Only the template
writes control tokens: such words in a task, in a reply or in a program's error text are encoded as the characters they are.
Pure but for the tokenizer it is handed; loads nothing.
"""

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Any, Literal

from selfplay.errors import ConfigError, DataError
from selfplay.models.base import Encoder
from selfplay.records import Request, Row, Task, Trace

Template = Literal["chat", "plain"]
"""`chat`: the tokenizer's own chat template. `plain`: the prompt's text as it stands, after bos where there is one."""

Arguments = Mapping[str, Any]
"""Arguments of a chat template, such as `enable_thinking`; they act with `chat` alone."""

NO_ARGUMENTS: Arguments = MappingProxyType({})

log = logging.getLogger("selfplay")

_OPEN_THINKING = re.compile(r"(<(?:think|thinking|seed:think)>|\[THINK\]|\u25c1think\u25b7|<\|think\|>)\s*\Z")

_TAG = re.compile(r"[<\[\u25c1]\|?/?(?:think|thinking|seed:think|tools?|tool_\w+)\|?[>\]\u25b7]", re.IGNORECASE)
_BEGIN, _END = "\ue000", "\ue001"
"""Around a control word of a text while the template is applied; these two characters of the private use area are dropped there."""


def encode_prompt(tokenizer: Any, request: Request, template: Template, chat: Arguments = NO_ARGUMENTS) -> list[int]:
    """Token ids of the prompt, ready for the completion's first token; never empty.

    Equal to `apply_chat_template` (to the bare encoding with `plain`) where the text holds no control word. Where the template knows no
    system role, the system text stands before the first user's. Raises ConfigError where `chat` is asked of a tokenizer without a chat
    template, DataError on an empty prompt and on messages that the template refuses.
    """
    if template == "chat":
        ids = _chat(tokenizer, request, chat)
    else:
        text = request.prompt if request.prompt is not None else "\n\n".join(m.content for m in request.messages or ())
        bos = tokenizer.bos_token_id
        ids = ([] if bos is None else [bos]) + _plain(tokenizer, text)
    if not ids:
        raise DataError(f"task {request.task_id}: its prompt has no tokens; give it a text")
    return ids


def encode_completion(
    tokenizer: Any, text: str, template: Template = "chat", chat: Arguments = NO_ARGUMENTS
) -> list[int]:
    """Token ids of a completion that somebody else wrote (a human, a server), the end token appended.

    The end token's own word at the end of the text is that token, once. Where the chat template leaves a thinking block open, a text that does
    not close it is a reply without thoughts: the block is closed before it, so that nobody is taught to reply inside it.
    """
    if tokenizer.eos_token_id is None:
        raise ConfigError(
            f"the tokenizer {tokenizer.name_or_path or 'given'} has no end token, so a student could never stop; "
            "set eos_token in its tokenizer_config.json"
        )
    while tokenizer.eos_token and text.endswith(tokenizer.eos_token):
        text = text.removesuffix(tokenizer.eos_token)
    opening = _open_thinking(tokenizer, chat) if template == "chat" else ""
    ids = _after_thinking(tokenizer, text, opening) if opening else _plain(tokenizer, text)
    return [*ids, tokenizer.eos_token_id]


def _after_thinking(tokenizer: Any, text: str, opening: str) -> list[int]:
    """The ids of a text that stands behind an open thinking block; its first closing tag keeps its token."""
    closing = {"[THINK]": "[/THINK]", "<|think|>": "<|/think|>"}.get(opening, f"{opening[0]}/{opening[1:]}")
    text = text.removeprefix(opening)
    if closing not in text:
        text = f"\n{closing}\n\n{text}"
    if closing not in _special_words(tokenizer):
        return _plain(tokenizer, text)
    thought, _, reply = text.partition(closing)
    return [*_plain(tokenizer, thought), tokenizer.convert_tokens_to_ids(closing), *_plain(tokenizer, reply)]


def _open_thinking(tokenizer: Any, chat: Arguments) -> str:
    """The tag of the thinking block in which the chat template starts every reply, "" where it starts none."""
    from jinja2 import TemplateError

    if not getattr(tokenizer, "chat_template", None):
        return ""
    try:
        asked = [{"role": "user", "content": "x"}]
        start = tokenizer.apply_chat_template(asked, add_generation_prompt=True, tokenize=False, **chat)
    except TemplateError:
        return ""
    found = _OPEN_THINKING.search(start[-60:])
    return found[1] if found else ""


def _plain(tokenizer: Any, text: str) -> list[int]:
    """The ids of a text in which no word is a control token."""
    return list(tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"])


def _special_words(tokenizer: Any) -> list[str]:
    return [token.content for token in tokenizer.added_tokens_decoder.values() if token.special and token.content]


def check_template(tokenizer: Any, template: Template, chat: Arguments = NO_ARGUMENTS) -> None:
    """Raises ConfigError where `chat` is asked of a tokenizer without a chat template, and where an argument is one it does not read."""
    if template == "plain":
        return
    name = tokenizer.name_or_path or "given"
    if not getattr(tokenizer, "chat_template", None):
        raise ConfigError(
            f"student.template is chat, but the tokenizer {name} has no chat template; "
            "use student.template: plain, or a model that was trained to chat"
        )
    read = _variables(str(tokenizer.chat_template)) if chat else frozenset()
    for word in chat:
        if word not in read:
            known = ", ".join(sorted(read - _OURS)) or "none"
            raise ConfigError(
                f"student.chat_template_kwargs: the chat template of {name} does not read {word}, so that it would have no effect; it reads "
                f"{known}; correct the name, or leave it out"
            )


_OURS = frozenset({"messages", "tools", "documents", "add_generation_prompt", "raise_exception", "strftime_now"})
"""What a chat template is always given."""


@cache
def _variables(template: str) -> frozenset[str]:
    """The names that a template reads from outside."""
    from jinja2 import Environment, meta

    return frozenset(
        meta.find_undeclared_variables(Environment(extensions=["jinja2.ext.loopcontrols"]).parse(template))
    )


def _chat(tokenizer: Any, request: Request, chat: Arguments) -> list[int]:
    check_template(tokenizer, "chat")
    messages = [{"role": m.role, "content": m.content} for m in request.messages or ()]
    messages = messages or [{"role": "user", "content": request.prompt or ""}]
    if (
        len(messages) > 1
        and [m["role"] for m in messages[:2]] == ["system", "user"]
        and not _knows_system(tokenizer, chat)
    ):
        _say_folded(tokenizer.name_or_path or "the tokenizer")
        system, user = messages[0]["content"], messages[1]["content"]
        messages[:2] = [{"role": "user", "content": f"{system}\n\n{user}"}]
    # a text that holds marks of its own could put the template's words between two of them
    bare = [message["content"].replace(_BEGIN, "").replace(_END, "") for message in messages]
    text = "\n".join(bare)
    template, added = str(tokenizer.chat_template), tokenizer.added_tokens_decoder.values()
    # words such as <think> are control words too where they are no special tokens
    words = [token.content for token in added if _controls(token, template) and token.content in text]
    if not words:
        return list(_applied(tokenizer, request, messages, tokenize=True, return_dict=False, **chat))
    special = {token.content for token in added if token.special}
    for message, content in zip(messages, bare, strict=True):
        # earlier replies keep the words that a model may write, such as those around its thoughts
        marked = [word for word in words if word in special or message["role"] != "assistant"]
        message["content"] = (
            _any_of(marked).sub(lambda word: f"{_BEGIN}{word[0]}{_END}", content) if marked else content
        )
    rendered = _applied(tokenizer, request, messages, tokenize=False, **chat)
    pieces = re.split(f"{_BEGIN}([^{_BEGIN}{_END}]*){_END}|[{_BEGIN}{_END}]", rendered)
    ids = list(tokenizer(pieces[0], add_special_tokens=False)["input_ids"])
    for place, piece in enumerate(pieces[1:], start=1):
        ids += _inside(tokenizer, piece, as_text=place % 2 == 1) if piece else []
    return ids


def _knows_system(tokenizer: Any, chat: Arguments) -> bool:
    """Whether the chat template writes a system message, instead of refusing it or leaving it out."""
    from jinja2 import TemplateError

    asked = [{"role": "system", "content": "Hello-system"}, {"role": "user", "content": "x"}]
    try:
        written = tokenizer.apply_chat_template(asked, add_generation_prompt=True, tokenize=False, **chat)
    except TemplateError:
        return False
    return "Hello-system" in written


@cache
def _say_folded(name: str) -> None:
    log.warning(
        "the chat template of %s knows no system role: a system message is put before the first user message", name
    )


def _controls(token: Any, template: str) -> bool:
    """Whether an added token steers a chat: a special one, one that the template writes, or one of thinking or tools."""
    word = token.content
    return bool(word.strip()) and (token.special or word in template or _TAG.fullmatch(word) is not None)


def _applied(tokenizer: Any, request: Request, messages: Sequence[dict[str, str]], **how: Any) -> Any:
    """`apply_chat_template`; its refusals are a DataError that names the task."""
    from jinja2 import TemplateError

    try:
        return tokenizer.apply_chat_template(list(messages), add_generation_prompt=True, **how)
    except TemplateError as error:
        roles = ", ".join(message["role"] for message in messages)
        raise DataError(
            f"task {request.task_id}: the chat template of {tokenizer.name_or_path or 'the tokenizer'} refuses its messages "
            f"(roles: {roles}): {error}; give the task roles that the template knows, such as user alone, or use student.template: plain"
        ) from None


def _inside(tokenizer: Any, piece: str, *, as_text: bool) -> list[int]:
    """The ids of a piece from the middle of a text, `as_text`: of a control word that is none here."""
    parts = [piece]
    if as_text and not _is_split(tokenizer, piece):
        # an added token that is not special is always found whole
        parts = list(piece)
    newline = tokenizer("\n", add_special_tokens=False)["input_ids"]
    ids: list[int] = []
    for part in parts:
        # behind a newline, since some tokenizers put a blank before the first word of a text
        longer = tokenizer(f"\n{part}", add_special_tokens=False, split_special_tokens=as_text)["input_ids"]
        joined = longer[: len(newline)] != newline
        ids += (
            tokenizer(part, add_special_tokens=False, split_special_tokens=as_text)["input_ids"]
            if joined
            else longer[len(newline) :]
        )
    return ids


def _is_split(tokenizer: Any, word: str) -> bool:
    return tokenizer.convert_tokens_to_ids(word) not in _plain(tokenizer, word)


def _any_of(words: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, sorted(words, key=len, reverse=True))))


class TokenEncoder:
    """A tokenizer with the student's template and the arguments of that (`chat`); an `Encoder`. Raises as `check_template`."""

    def __init__(self, tokenizer: Any, template: Template, chat: Arguments = NO_ARGUMENTS) -> None:
        check_template(tokenizer, template, chat)
        self._tokenizer, self._template, self._chat = tokenizer, template, chat

    def prompt(self, request: Request) -> list[int]:
        """Ids of a prompt; see `encode_prompt`."""
        return encode_prompt(self._tokenizer, request, self._template, self._chat)

    def completion(self, text: str) -> list[int]:
        """Ids of a completion with the end token; see `encode_completion`."""
        return encode_completion(self._tokenizer, text, self._template, self._chat)


def row_of(
    prompt_ids: Sequence[int],
    completion_ids: Sequence[int],
    *,
    weight: float = 1.0,
    kind: Literal["new", "older", "anchor"] = "new",
    source: str = "",
    difficulty: int | None = None,
) -> Row:
    """The training row: loss on every completion token, the end token included, and on no prompt token."""
    return Row(
        input_ids=(*prompt_ids, *completion_ids),
        labels=(*[-100] * len(prompt_ids), *completion_ids),
        weight=weight,
        kind=kind,
        source=source,
        difficulty=difficulty,
    )


def row_of_trace(trace: Trace) -> Row:
    """The training row of an accepted attempt, on the exact ids that were sampled."""
    prompt, completion = trace.attempt.prompt_ids or (), trace.attempt.completion_ids or ()
    return row_of(prompt, completion, source=trace.attempt.id, difficulty=trace.task.difficulty)


def anchor_row(encoder: Encoder, task: Task) -> Row:
    """The training row of a task's reference."""
    prompt, completion = encoder.prompt(Request.of(task)), encoder.completion(task.reference or "")
    return row_of(prompt, completion, kind="anchor", source=task.id, difficulty=task.difficulty)
