"""Extracts from a free-text reply its final answer, its code, or the number in an expression.

Pure text work: nothing is evaluated, imported or executed, every scan is linear and capped. An answer inside a think
block is never used, and a reply that hedges or gives several answers has none.
"""

from selfplay.answers.code_blocks import extract_code
from selfplay.answers.extraction import extract_answer
from selfplay.answers.numerals import read_number
from selfplay.answers.visible import visible_text

__all__ = ["extract_answer", "extract_code", "read_number", "visible_text"]
