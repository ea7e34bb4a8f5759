r"""Finds the last LaTeX box of a text, and the boxes before it that belong to the same list.

Also reads what stands beside a box: whether the box is the answer, or a part of a larger expression such as `2\boxed{9}`.
"""

import re

from selfplay.answers.visible import MAX_ANSWER_CHARS

_BOX = re.compile(r"\\{1,2}(?:boxed|fbox|framebox)(?:\s{0,8}\{|\s{1,4}(?P<token>[^\s{}$\\]{1,40}))")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_LAYOUT = re.compile(r"\\q?quad(?![A-Za-z])|\\[,;:! ()\[\]]|\\\\|[\s$.()\[\]&{}~]")
_WORDS_BETWEEN = re.compile(r"\\text\s?\{([^{}]{0,40})\}")
_NAMED = re.compile(r"(?:and|,)?[A-Za-z]\w{0,2}(?:_\w)?=")
MAX_JOINED = 20
"""Boxes of one list."""


class Boxes:
    """The boxes that end a text."""

    def __init__(self, parts: list[str], alternatives: bool, start: int, end: int, touching: bool) -> None:
        self.parts, self.alternatives, self.start, self.end = parts, alternatives, start, end
        """Contents in order; whether "or" stands between them; where the first one starts and the last one ends."""
        self.touching = touching
        """Nothing stands between two of them, not even a blank: `\\boxed{1}\\boxed{8}` may be a list, or 18."""


def last_boxes(text: str) -> Boxes | None:
    """The last box that is not empty and those joined to it; None where there is none."""
    boxes = [(content.strip(), start, end) for content, start, end in _all(text) if content.strip()]
    if not boxes:
        return None
    parts, alternatives, start, touching = [boxes[-1][0]], False, boxes[-1][1], False
    for before, after in zip(reversed(boxes[-MAX_JOINED:-1]), reversed(boxes), strict=False):
        joint = _joint(text[before[2] : after[1]])
        if joint is None:
            break
        alternatives = alternatives or joint == "or"
        start, touching = before[1], touching or before[2] == after[1]
        if before[0] != after[0]:
            parts.insert(0, before[0])
    return Boxes(parts, alternatives, start, boxes[-1][2], touching)


def _all(text: str) -> list[tuple[str, int, int]]:
    found = []
    at = 0
    while opening := _BOX.search(text, at):
        # `\boxed 5` has no braces
        content = (opening["token"], opening.end()) if opening["token"] else _content(text, opening.end())
        if content is None:
            break
        found.append((content[0], opening.start(), content[1]))
        at = content[1]
    return found


def _content(text: str, start: int) -> tuple[str, int] | None:
    """Content of the braces that open just before `start`, and where they end; an unclosed box runs to its line's end."""
    depth = 1
    for match in _BRACE.finditer(text, start, min(len(text), start + MAX_ANSWER_CHARS)):
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        if depth == 0:
            return text[start : match.start()], match.end()
    line = text[start : start + MAX_ANSWER_CHARS].split("\n", 1)[0]
    return (line.rstrip(" $"), start + len(line)) if line.strip(" $}") else None


def _joint(between: str) -> str | None:
    """What joins two boxes: "", ",", "and" or "or"; None where they are not parts of one list."""
    if len(between) > 70 or "\n\n" in between:
        return None
    spoken = _WORDS_BETWEEN.search(between)
    if spoken and len(spoken[1].split()) > 1 and spoken[1].split()[-1] in ("and", "or"):
        return spoken[1].split()[-1]
    bare = _LAYOUT.sub("", _WORDS_BETWEEN.sub(r"\1", between))
    if _NAMED.fullmatch(bare):
        return ","
    words = bare.replace(",", "").replace(";", "")
    return words or "," if words in ("", "and", "or") and bare.count(",") + bare.count(";") < 3 else None


_WINDOW = 400
"""Characters before and after a box that are looked at."""
_PLAIN_COMMANDS = (
    r"n|therefore|thus|implies|impliedby|iff|(?:Long|long)?(?:R|r|Leftr|leftr)ightarrow|to|in|mapsto|approx|approxeq|equiv|sim|simeq|cong|doteq|because|q?quad|hfill"
    r"|(?:display|text)style|left|right|[lL]arge|LARGE|[hH]uge|small|normalsize|centering|item|noindent|newline|par|bf|rm|it|bfseries|colon|checkmark"
    r"|blacksquare|square|Box|qed|end|tag|label|circ|degree|text\w{0,6}|math(?:rm|bf|it|sf)|mbox|hspace|vspace|nonumber|notag|color|underline|emph"
)
"""Commands beside a box that say nothing of its value; `\\n` is a line break that came through as text."""
_STYLES = re.compile(
    r"(?:\\(?:text\w{0,6}|math(?:rm|bf|it|sf|bin|ord)|mbox|bm|boldsymbol|underline|emph|[fc]box|boxed|color|colorbox|tag|large|Large)\s?(?:\{[a-zA-Z]{1,20}\})?\s?)?$"
)
_LAYOUT_BEFORE = re.compile(
    r"(?:\s|\\[,;:! ]|&|~|\\(?:left|displaystyle|textstyle|large|Large|huge|Huge|bf|q?quad)(?![A-Za-z])|\\(?:color"
    r"|hspace\*?|vspace\*?)\s?\{[^{}]{0,20}\}"
    r"|\\begin\s?\{[a-z*]{1,12}\}(?:\{[clr| ]{0,12}\})?|(?<![\w)\]}])[*_]{1,3}|\\\$|[€£¥]|\\\\)$"
)
_LAYOUT_AFTER = re.compile(r"(?:[ \t~]|\\[,;:! ]|\\right(?![A-Za-z])|\{\s?\}|\}|[*_]{1,3}(?=[\s.,;:!?)$]|\Z)|&)")
_LIST_MARK = re.compile(r"(?:^|\n)[ \t]*(?:[-*+>#]{1,6}|\(?\w{1,3}[.)]|\[\w{1,3}\])[ \t]+$")
_MATH_LINE = re.compile(r"(?:\\\[|\$\$?|\\\\|[-=+*/^(&\d]|\\begin\{[^{}]{1,20}\})[ \t]*\n[^\n]*$")
_DASH = re.compile(
    r"\b(?:answer|result|solution|total|value|so|thus|hence|therefore|finally)[*_:]{0,4}\s+[-–]\s+$", re.IGNORECASE
)
_ARROW = re.compile(r"[-=]+>\s*$")
_OPERATOR_BEFORE = re.compile(r"(?:[-+−–×·÷/^√<>¬±∓≠≤≥*~∼]|(?<!\s)!|:\s?\d{0,4}:?(?<=\d:)|\bor\s?\$?)\s*$")
_COMMAND_BEFORE = re.compile(r"\\([A-Za-z]{1,20})\s*(?:\[[^\]\n]{0,20}\])?$")
_OPERAND_BEFORE = re.compile(
    r"(?:\d|(?<![A-Za-z\\])(?![aIA]\s)[A-Za-z])\s*$|(?<!\\)[)\]|]$|(?<!\\)[)\]]\s*$(?<!\w\w[)\]]\s)(?<!\w\w[)\]])"
)
_GROUP_BEFORE = re.compile(
    rf"\\(?:{_PLAIN_COMMANDS}|begin|textcolor)\*?\s?\{{[^{{}}]{{0,200}}\}}(?:\{{[clr| ]{{0,12}}\}})?\s*$"
)
_TUPLE_BEFORE = re.compile(r"[(\[{][^()\[\]A-Za-z\n]{1,60},\s*\$?$")
_MAGNITUDE = re.compile(
    r"(?:\$|\s|\\[ ,;:]|~){0,6}(?:\\(?:text|mathrm|mbox)\s?\{\s?)?(millions?|billions?|trillions?|quadrillions?"
    r"|thousands?|hundreds?|dozens?|lakhs?|crores?)\b"
)
_AFTER = re.compile(
    r"\^(?!\s?\{?\s?(?:\\circ|°|\\degree|\\text\s?\{\s?(?:st|nd|rd|th)))|_[{\w]|!|\?|[.,]?\d|\{\s?,\s?\}\s?\d|,\s?-?\d[^A-Za-z\n]{0,20}(?:\n|$|[)\]$.])|:\s?\d"
    r"|[+−×·÷±≠≤≥]|[-–](?!\s+[A-Za-z]{2,}|-|\s*(?:\n|$))|\*{1,2}\s?[\d(A-Za-z\\]|/\s?(?![A-Za-z]{2,})|[<>](?!/|[A-Za-z]{2,}|\s*(?:\n|$))"
    r"|\$?\s?(?:\\text\s?\{\s?)?or\b\s?\}?[\s$({]{0,3}(?:[-\d\\]|[A-Z]\b)|\((?=[^()\n]{1,20}\))(?![^()\n]{0,20}[A-Za-z]{2})"
    r"|(?:\\?%|percent(?:age)?(?: points?)?|per cent)\s*(?:\\text\s?\{)?\s*of\b"
    r"|\\(?:text|mathrm|mbox)\s?\{\s?(?:times|plus|minus|squared|cubed|factorial|halves|k|mod)\b"
)
_COMMAND_AFTER = re.compile(r"\\([A-Za-z]{1,20})")
_LETTER_AFTER = re.compile(r"[A-Za-z](?![A-Za-z])")
_SPACED_LETTER_AFTER = re.compile(r"(?![aAImgshL])[A-Za-z](?![A-Za-z])\s*(?:[-$+*/^=.\\()]|\n|$)|k\b|M\b|K\b|B\b")


def magnitude(text: str, end: int) -> str:
    """A magnitude word right after a box, which belongs to its number: `\\boxed{18}` million; "" where there is none."""
    match = _MAGNITUDE.match(text[end : end + 60])
    return match[1] if match else ""


def equated(text: str, end: int) -> str:
    """The other side where an equation goes on after a box (`\\boxed{18} = 19`), and holds no unknown; else ""."""
    match = re.match(r"\s?=\s?([^$\n=]{1,60}?)(?:\$|\n|=|\\\]|\\\)|[.,]\s|[.]?$)", text[end : end + 80])
    return match[1].strip() if match and not re.search(r"(?<![A-Za-z\\])[A-Za-z]", match[1]) else ""


def in_expression(text: str, start: int, end: int) -> bool:
    """Whether `text[start:end]`, a box, is an operand, an argument or an entry of something larger."""
    before = text[max(0, start - _WINDOW) : start]
    before = before[before.rfind("\n\n") + 1 :]
    after = text[end : end + _WINDOW].split("\n\n")[0]
    if not all(_STYLES.search(opened) for opened in _opened(before)):
        return True
    if _TUPLE_BEFORE.search(before) and re.match(r"\s?\$?\s?[)\]},]", after):
        return True
    for opener, closer in ("()", "[]", "||", "()"):
        before, after = _trimmed(before), after.lstrip(" \t")
        if (
            before.endswith(opener)
            and re.match(rf"(?:\\right)?\{closer}", after)
            and not before.endswith("\\" + opener)
        ):
            before, after = before[:-1], after[after.index(closer) + 1 :]
    return _joined_before(before) or _joined_after(after)


def _opened(before: str) -> list[str]:
    """What stands before each brace that is still open."""
    places: list[int] = []
    for match in re.finditer(r"\\.|[{}]", before, re.DOTALL):
        if match[0] == "{":
            places.append(match.start())
        elif match[0] == "}" and places:
            places.pop()
    return [before[:place] for place in places]


def _trimmed(before: str) -> str:
    """Without layout at its end, as long as that is no mark of a list."""
    for _ in range(40):
        if _LIST_MARK.search(before) or (cut := _LAYOUT_BEFORE.search(before[-60:])) is None:
            break
        kept = before[: len(before) - (len(before[-60:]) - cut.start())]
        if cut[0].isspace() and re.search(r"[\w)\]!]$|[-–]$|>$|[*_]$", kept):
            break  # the blank tells a word from a factor
        before = kept
    return before


def _joined_before(before: str) -> bool:
    """Whether an operator or an operand stands before."""
    before = _trimmed(before)
    dollar = before.rstrip().endswith("$")
    if dollar:
        before = before.rstrip().rstrip("$")
        if before.endswith((" ", "\n", "\\")) and not re.search(r"[-+*/^]\s*$", before):
            return False
    before = re.sub(r"(?<!\\)\{\s*$", "", before)
    if _LIST_MARK.search(before) or _DASH.search(before) or _ARROW.search(before):
        return bool(_MATH_LINE.search(before)) and not _ARROW.search(before)
    if not before.strip() or re.search(r"\\[()\[\]]\s*$", before):
        return False
    if command := _COMMAND_BEFORE.search(before):
        return re.fullmatch(_PLAIN_COMMANDS, command[1]) is None
    if before.rstrip().endswith("}"):
        return _GROUP_BEFORE.search(before) is None
    return bool(_OPERATOR_BEFORE.search(before) or _OPERAND_BEFORE.search(before))


def _joined_after(after: str) -> bool:
    """Whether an operator or an operand follows."""
    spaced = False
    while cut := _LAYOUT_AFTER.match(after):
        spaced = spaced or cut[0].isspace() or cut[0].startswith(("\\", "~"))
        after = after[cut.end() :]
    if after.startswith("$"):
        after = after.lstrip("$")
        return bool(re.match(r"\s?(?:[-+−×*/^]\s?[\d(\\$]|\^|\d|\?|\s?or\s\$?[-\d\\])", after))
    if command := _COMMAND_AFTER.match(after):
        return re.fullmatch(_PLAIN_COMMANDS, command[1]) is None or _AFTER.match(after) is not None
    letter = (_SPACED_LETTER_AFTER if spaced else _LETTER_AFTER).match(after)
    return bool(letter or _AFTER.match(after))
