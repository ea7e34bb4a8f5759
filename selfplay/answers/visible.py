"""Cuts a reply to what is meant for the reader, without think blocks and chat-template tokens."""

import re

MAX_REPLY_CHARS = 1_000_000
"""Longer replies are read from their last million characters only, where the answer stands."""
MAX_ANSWER_CHARS = 20_000
"""Longer statements are no answer (a bare expression excepted, which comes back whole)."""

_THINK = re.compile(
    r"<\s{0,3}(?P<close>/?)\s{0,3}(?:think|thinking|thought|thoughts|reasoning|scratchpad|reflection)\b[^<>\n]{0,200}>?"
    r"|(?P<square>\[/?THINK\])|(?P<triangle>◁/?think▷)",
    re.IGNORECASE,
)
_CHANNEL = re.compile(
    r"<\|channel\|>\s{0,3}(?P<name>\w{0,40})[^<\n]{0,200}(?:<\|constrain\|>[^<\n]{0,40})?<\|message\|>"
)
_CHAT_TOKEN = re.compile(r"<\|[A-Za-z0-9_ -]{1,40}\|>|</s>|<(?:eos|end_of_turn|start_of_turn)>")


def _untagged(text: str) -> bool:
    """Whether a plain look finds nothing that the patterns could match: most replies of small models, in no time."""
    return text.isascii() and "<" not in text and "think]" not in text.lower()


def without_thinking(text: str) -> str:
    """The text outside think blocks; "" where a block that opens is never closed and nothing stands before it.

    A closing tag without an opening one (the template wrote the opening) drops everything before it. Blocks nest, so
    text after an unclosed block is never shown, whatever it holds.
    """
    if _untagged(text):
        return text
    shown: list[str] = []
    depth = at = 0
    for tag in _THINK.finditer(text):
        closes = bool(tag["close"]) or "/" in (tag["square"] or tag["triangle"] or "")
        if depth == 0:
            if closes:
                shown.clear()
            else:
                shown.append(text[at : tag.start()])
                depth = 1
        else:
            depth += -1 if closes else 1
        at = tag.end()
    if depth == 0:
        shown.append(text[at:])
    return "".join(shown)


def _final_channel(text: str) -> str:
    """Of a reply that names its channels (gpt-oss) the message on the last that is `final`; "" where none is."""
    if "<|channel|>" not in text:
        return text
    final = [mark for mark in _CHANNEL.finditer(text) if mark["name"].lower() == "final"]
    return text[final[-1].end() :] if final else ""


def visible_text(text: str) -> str:
    """What the reader is shown: no think blocks, of several channels the final one, and nothing from the first
    chat-template token on (a leading one aside)."""
    # tags are looked for in the whole text: cutting first could lose the opening of a block that never closes
    body = _final_channel(without_thinking(text))[-MAX_REPLY_CHARS:].replace("\r\n", "\n")
    start = 0
    for token in _CHAT_TOKEN.finditer(body) if "<" in body else ():
        if body[start : token.start()].strip():
            return body[start : token.start()]
        start = token.end()
    return body[start:]
