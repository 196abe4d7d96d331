"""What the model is asked on held-out files: to write the body of a function, and to fill in a line.

Knows source text; knows nothing of tokens or engines.
"""

import ast
import random
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from training.demo.infill import MID, PRE, SUF

_BODY_LINES = range(2, 31)
_HEAD = 1200  # characters of signature and docstring
_AROUND = 600  # characters on each side of a line to fill in
_DEFINITIONS = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Function:
    """A function without its body: signature, and docstring where it has one. Ends with a line end."""

    head: str


@dataclass(frozen=True)
class Line:
    """A line without its indentation, and what stands around it."""

    before: str
    after: str
    text: str

    @property
    def prompt(self) -> str:
        return f"{PRE}{self.before}{SUF}{self.after}{MID}"


def functions(texts: Sequence[str], count: int, seed: int) -> list[Function]:
    """Some functions, at random, with the shortest margin that they can have."""
    found = [function for text in texts for function in _functions(text)]
    return random.Random(seed).sample(found, min(count, len(found)))


def lines(texts: Sequence[str], count: int, seed: int) -> list[Line]:
    """Some lines of code, at random: neither comments nor mere punctuation, at most one of a definition."""
    rng = random.Random(seed)
    found: list[Line] = []
    for text in rng.sample(list(texts), len(texts)):
        spots = [match for match in re.finditer(r"(?m)^[ \t]*(\S[^\n]{7,})$", text) if match[1][0].isalpha()]
        for match in rng.sample(spots, min(3, len(spots))):
            start, end = match.span(1)
            before, after = text[max(0, start - _AROUND) : start], text[end : end + _AROUND]
            found.append(Line(before, after, match[1]))
    return rng.sample(found, min(count, len(found)))


def cut(head: str, continuation: str) -> str:
    """Head and continuation up to the first dedent: the first line with text and without indentation.

    Where none comes, the last line may be half of one and goes too. What continues the head's own last line counts
    as indented.
    """
    kept: list[str] = []
    for number, line in enumerate(continuation.split("\n")):
        is_new_line = number > 0 or head.endswith("\n")
        if is_new_line and line.strip() and not line[0].isspace():
            return head + "".join(f"{each}\n" for each in kept)
        kept.append(line)
    return head + "".join(f"{each}\n" for each in kept[:-1])


def is_body(head: str, whole: str) -> bool:
    """Whether `whole` parses as a single function and says more than its head did."""
    try:
        tree = ast.parse(whole)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    if len(tree.body) != 1 or not isinstance(tree.body[0], _DEFINITIONS):
        return False
    return len(tree.body[0].body) > (1 if ast.get_docstring(tree.body[0], clean=False) is not None else 0)


def _functions(text: str) -> Iterator[Function]:
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return
    rows = text.splitlines(keepends=True)
    for node in ast.walk(tree):
        if not isinstance(node, _DEFINITIONS) or node.decorator_list:
            continue
        has_docstring = ast.get_docstring(node, clean=False) is not None
        body = node.body[1:] if has_docstring else node.body
        if not body or node.end_lineno is None or node.end_lineno - body[0].lineno + 1 not in _BODY_LINES:
            continue
        head_end = (node.body[0].end_lineno or 0) if has_docstring else body[0].lineno - 1
        head = textwrap.dedent("".join(rows[node.lineno - 1 : head_end]))
        if head.startswith(("def ", "async def ")) and len(head) <= _HEAD and head.endswith("\n"):
            yield Function(head)
