"""The words, numbers, stems and language of a text, as the filters compare them. Pure; coarse on purpose."""

import re
import unicodedata
from collections import Counter

_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)?")
NUMBER = re.compile(r"\d+(?:[.,]\d+)*(?:/\d+)?")

STOP = {
    "en": "the a an of and or to in is are was were be that this it he she they his her its their with for on at by as from what how many much "
    "which who does do did has have had not if then than but so there into out up all each one two can will would i you we my your",
    "fr": "le la les un une des du de et ou est sont que qui dans il elle ils avec pour sur par au aux ce cette ses son sa leur combien quel quelle "
    "lui en ne pas plus chacun chacune",
    "de": "der die das ein eine einer eines und oder ist sind war waren dass in er sie es mit für auf bei als aus was wie viele welche nicht wenn "
    "dann aber den dem sich auch ihm ich",
    "es": "el la los las un una unos y o es son que en él ella con para por del al se su sus cuántos cuál no si pero le",
    "it": "il lo la gli le un una e o è sono che in con per del della si suo sua quanti quale non se ma di",
    "pt": "o a os as um uma e ou é são que em com para por do da se seu sua quantos qual não",
    "nl": "de het een en of is zijn dat in met voor op bij als uit wat hoe veel welke niet maar hij zij",
}
"""Function words that tell languages in Latin script apart; a text needs three of one language to have it."""
_STOP = {name: frozenset(text.split()) for name, text in STOP.items()}
_FUNCTION_WORDS = _STOP["en"] | {"now", "also", "just", "only", "still", "given", "please", "must", "should"}


def words(text: str, stop: bool = True) -> list[str]:
    """Words and numbers in order, case-folded; with `stop`, without English function words."""
    found = re.findall(rf"{NUMBER.pattern}|{_WORD.pattern}", unicodedata.normalize("NFC", text).casefold())
    return [word for word in found if word not in _FUNCTION_WORDS] if stop else found


def content_words(text: str) -> set[str]:
    """The set of content words, without numbers; a final `s` is cut off, so that a plural equals its singular."""
    return {word.rstrip("s") or word for word in words(text) if not word[0].isdigit()}


def stems(text: str) -> set[str]:
    """Content words of three letters or more, cut to four letters."""
    return {word[:4] for word in content_words(text) if len(word) > 2}


def numbers(text: str) -> list[str]:
    """Numbers in order, as they are written in the text."""
    return NUMBER.findall(text)


def language(text: str) -> str:
    """A language of STOP, or the name of a script such as CJK or CYRILLIC; "" where neither can be told."""
    letters = [c for c in text if c.isalpha()]
    if not letters:
        return ""
    scripts = Counter(unicodedata.name(c, "?").partition(" ")[0] for c in letters)
    script, count = scripts.most_common(1)[0]
    if script != "LATIN":
        return script if count * 2 > len(letters) else ""
    found = words(text, stop=False)
    counts = {name: sum(word in known for word in found) for name, known in _STOP.items()}
    best = max(counts, key=lambda name: counts[name])
    others = max(count for name, count in counts.items() if name != best)
    return best if counts[best] >= 3 and counts[best] > others else ""
