"""Floor 2: text to token ids and back to rows; the one place where a prompt's template is applied.

Sampling and training go through the same functions, so that a student is trained on exactly the ids it is asked with.
Pure but for the tokenizer it is handed; loads nothing.
"""

from collections.abc import Sequence
from typing import Any, Literal

from selfplay.errors import ConfigError, DataError
from selfplay.records import Request, Row

Template = Literal["chat", "plain"]
"""`chat`: the tokenizer's own chat template. `plain`: the prompt's text as it stands, after bos where there is one."""


def encode_prompt(tokenizer: Any, request: Request, template: Template) -> list[int]:
    """Token ids of the prompt, ready for the completion's first token; never empty.

    Raises ConfigError where `chat` is asked of a tokenizer without a chat template, DataError on an empty prompt.
    """
    if template == "chat":
        ids = _chat(tokenizer, request)
    else:
        text = request.prompt if request.prompt is not None else "\n\n".join(m.content for m in request.messages or ())
        bos = tokenizer.bos_token_id
        ids = ([] if bos is None else [bos]) + list(tokenizer(text, add_special_tokens=False)["input_ids"])
    if not ids:
        raise DataError(f"task {request.task_id}: its prompt has no tokens; give it a text")
    return ids


def _chat(tokenizer: Any, request: Request) -> list[int]:
    if not getattr(tokenizer, "chat_template", None):
        raise ConfigError(
            f"student.template is chat, but the tokenizer {tokenizer.name_or_path or 'given'} has no chat template; "
            "use student.template: plain"
        )
    messages = [{"role": m.role, "content": m.content} for m in request.messages or ()]
    messages = messages or [{"role": "user", "content": request.prompt or ""}]
    return list(tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=True, return_dict=False))


def encode_completion(tokenizer: Any, text: str) -> list[int]:
    """Token ids of a completion that somebody else wrote (a human, a server), the end token appended."""
    if tokenizer.eos_token_id is None:
        raise ConfigError(
            f"the tokenizer {tokenizer.name_or_path or 'given'} has no end token, so a student could never stop; "
            "set eos_token in its tokenizer_config.json"
        )
    return [*tokenizer(text, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]


def row_of(
    prompt_ids: Sequence[int],
    completion_ids: Sequence[int],
    *,
    weight: float = 1.0,
    kind: Literal["new", "older", "anchor"] = "new",
    source: str = "",
    operations: int | None = None,
) -> Row:
    """The training row: loss on every completion token, the end token included, and on no prompt token."""
    return Row(
        input_ids=(*prompt_ids, *completion_ids),
        labels=(*[-100] * len(prompt_ids), *completion_ids),
        weight=weight,
        kind=kind,
        source=source,
        operations=operations,
    )
