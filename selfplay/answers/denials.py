"""Detects words around a value that deny it or use it to name another value (`twice 18`, `18 more than 1`)."""

import re

WINDOW = 240
"""Characters before and after a value that are looked at."""
_WRONG = (
    r"(?:wrong|incorrect|false|mistaken|untrue|erroneous|impossible|nonsense|absurd|rejected|excluded|eliminated|discarded|dismissed|"
    r"ruled out|refuted|disproved|disproven|invalid|bogus|unacceptable|inadmissible|extraneous|too (?:small|large"
    r"|big|low|high)|out of the question|(?:an?"
    r"|the) (?:\w{1,20} )?(?:mistake|error|trap|distractor))"
)
_VERBED = (
    rf"(?:(?:is|are|was|were|be|been|seems?|looks?|turns? out|proves?|as)\b|'s|’s)\s(?:\w{{1,20}} ){{0,2}}?{_WRONG}\b"
    r"|(?:\b(?:not|never|cannot)|n['’]t)\s(?:\w{1,20} ){0,2}?(?:right|correct|true|it|valid|possible|the case"
    r"|answer|work|fit|hold|accepted|acceptable|allowed|satisfy)\b"
    r"|\b(?:fails|contradicts|contradiction)\b"
)
_REMARK = r"[(\[,;:–—-]\s{0,2}(?:but |which |and |that |a )?(?:wrong|incorrect|false|rejected|mistaken|mistake|error|nope|no(?=[.,;:!)\s]{0,4}$))\b"
_NEXT = (
    r"\W{0,8}\s\W{0,4}(?:(?:but|however|and|yet|well|oh|wait),?\s)?(?:"
    rf"(?:that|this|it|which|the (?:above|answer|value|result|key))\b[^.\d\n]{{0,60}}?(?:{_VERBED})"
    r"|(?:no|nope|wrong|incorrect|false)(?=[.,;:!]|\s{0,4}$)|not (?:really|quite|so|true|right|correct)\b)"
)
_DOUBT = (
    r"\W{0,8}\s\W{0,4}(?:(?:or(?! equivalently| in\b| simply| just)|alternatively|correction|actually|edit|wait|hmm|oops|sorry|rather|i mean)\b"
    r"[^.\n]{0,40}?(?:\d|mistake|wrong|error|incorrect|false|not right)|(?:(?:but|however),? )?i(?: am|['’]m) (?:not (?:sure|certain)|unsure)\b)"
)
"""How the next sentence takes a value back."""
_CONDITION = r",?\s(?:if|unless|assuming|provided)\b|[^.\n]{0,80}?\botherwise\b"
_SIZE = r"(?:more|less|fewer|greater|larger|smaller|higher|lower|bigger)"
_OTHER_AFTER = (
    rf"\s?(?:[A-Za-z]{{1,20}} )?{_SIZE} than\b|\s?times (?:as|more|less|the|that|what|his|her|their)\b|\s?(?:short|shy) of\b"
    rf"|\s?(?:[A-Za-z]{{1,20}} )?or (?:{_SIZE}|so|above|below|over|under|beyond)\b"
    rf"|\s?(?:[A-Za-z]{{1,20}} )?and (?:up|above|over|more|below|under|a (?:half|third|quarter))\b"
    r"|\s?too (?:many|few|much|little)\b|\s?(?:squared|cubed|factorial|plus|minus|halves)\b|\s?at (?:least|most"
    r"|minimum|maximum|a minimum|a maximum)\b"
    r"|\s?(?:max|maximum|minimum)\b(?! (?:of|value|point))"
)
_AFTER = re.compile(
    rf"{_OTHER_AFTER}"
    rf"|(?:(?!\b(?:because|since|so|thus|hence|therefore)\b|[.!?]\s)[^\d\n]){{0,100}}?(?:{_VERBED}|{_REMARK})|{_NEXT}|{_DOUBT}|{_CONDITION}",
    re.IGNORECASE,
)
_NOT_HERE = (
    r"(?:wrong|incorrect|false|mistaken|untrue|doubt|deny|denies|disagree|unlikely|impossible|no one|nobody|none|never|not|cannot"
    r"|reject|rule out|ruling out|discard|exclude|eliminate|dismiss|perhaps|maybe|possibly|suppose|assume|assuming|imagine|pretend|whether|guess)"
)
_BEFORE = re.compile(
    rf"(?:(?:\b{_NOT_HERE}\b|n['’]t\b)(?! (?:hard|difficult|surprising|only)\b)[^,;:.\d\n\\]{{0,60}}"
    rf"|\b(?:at (?:least|most)|(?:{_SIZE}|other|rather|different) (?:than|from)(?: or equal to)?|over|above|under"
    rf"|below|beyond|exceed(?:s|ing|ed)?|twice|thrice|double"
    r"|triple|half(?: of)?|(?:third|quarter|fifth|tenth|multiple|divisor|factor|root|square|cube|reciprocal"
    r"|negative|opposite|inverse|logarithm|log) of"
    r"|minus|negative|plus|times|anything but|except|instead of|(?<!adds )(?<!add )(?<!sums )(?<!sum )(?<!comes )(?<!round )up to))"
    r"[\s$({*_]{0,6}(?:an? |the )?$",
    re.IGNORECASE,
)


_OPERATED_BEFORE = re.compile(r"(?:[<>≤≥≠√±]|\\(?:n?eq?|lt|gt|[lg]eq?|sqrt|pm)\s?\{?)[\s$]{0,4}$")
_OPERATED_AFTER = re.compile(
    r"[\s$]{0,3}(?:(?:millions?|billions?|trillions?|thousands?|hundreds?|dozens?|lakhs?|crores?|k)\b|-?ish\b|[+±×÷^!]|\\(?:pm|times|cdot)\b)|\s\d"
)
_NUMBERED_LEFT = re.compile(r"([^=,;:]{1,40})=[\s$]{0,4}$")
_UNKNOWN = re.compile(r"(?<![A-Za-z\\])(?!a\s|x\s?\$?\d)[a-z](?![A-Za-z])")
_NOT_THE_ANSWER = re.compile(
    r"\b(?:(?:bound|digits?|sum|product|difference|multiple|power) (?:of|for|on)|naive|naïve|tempting|old|previous"
    r"|(?:students|people|some|many|most|others|they|you|one) (?:often |may |might |will |would )?(?:think|say|believe|claim|guess|assume)(?: that)?)"
    r" (?:the |an? |my )?(?:final )?(?:answer|result)|\b(?:answer|result)(?:['’]s\b| (?:squared|cubed|plus|minus"
    r"|times|divided|multiplied|mod|modulo|and)\b)",
    re.IGNORECASE,
)


def of_something_else(text: str, start: int, end: int) -> bool:
    """Whether `text[start:end]`, a phrase such as `the answer is`, is about something else: `the answer squared is`."""
    before = re.split(r"\n|[.!?]\s", text[max(0, start - 60) : start])[-1]
    return bool(_NOT_THE_ANSWER.search(before + text[start : min(end, start + 60)]))


def operated(text: str, start: int, end: int) -> bool:
    """Whether a value in prose is part of more, `18 million` or `18 + 1`, or the side of an equation as in `2x = 18`."""
    before, after = text[max(0, start - 60) : start], text[end : end + 40]
    left = _NUMBERED_LEFT.search(before)
    unsolved = left is not None and bool(_UNKNOWN.search(left[1])) and bool(re.search(r"\d|-\s?[a-z]\s*$", left[1]))
    return unsolved or bool(_OPERATED_BEFORE.search(before) or _OPERATED_AFTER.match(after))


def denied(text: str, start: int, end: int) -> bool:
    """Whether the words before or after `text[start:end]`, in its own sentence or the next, say that this value is not the answer."""
    before = re.split(r"\n|[.!?]\s", text[max(0, start - WINDOW) : start])[-1]
    return bool(_BEFORE.search(before[-80:]) or _AFTER.match(text[end : end + WINDOW].lstrip("$*_)}\\]%")))


_OPTION_DENIED = re.compile(
    rf"[\s,;:–—-]{{0,4}}(?:(?:{_VERBED})|(?:wrong|incorrect|fails|no|false)(?=[.,;:!]\s))", re.IGNORECASE
)
_THEN_OTHER = re.compile(
    r"[.,;:!]\s{1,3}(?:(?:so|thus|hence|therefore|then|and|but)\s)?(?:(?:it is|it's|choose|pick|take)\s)?"
    r"(?:(?:option|answer|choice)\s)?(?:\(([A-J])\)|([A-J]))(?=[\s.!]{0,4}$|[)\s]{1,2}(?:yes|right|is|correct)\b)"
    r"|(?:^|(?<=[\s.,;:!→]))\(([A-J])\)[\s.!]{0,4}$"
)


def option_denied(text: str, letter: str) -> bool:
    """Whether the text after the mark of an option denies it (`is wrong, B`) or ends in another option."""
    other = _THEN_OTHER.search(text[-WINDOW:])
    return bool(_OPTION_DENIED.match(text)) or (other is not None and (other[1] or other[2] or other[3]) != letter)
