"""The questions of the evaluation: what is cut, what counts as a body, what is asked."""

from training.demo.tasks import cut, functions, is_body, lines

_HEAD = 'def double(x):\n    """Twice as much."""\n'
_MODULE = '''
class Box:
    """Holds things."""

    def first(self, default=None):
        """The first thing, or the default."""
        for thing in self.things:
            return thing
        return default

    @property
    def size(self):
        total = len(self.things)
        return total


def outer(value):
    # A comment before the body.
    changed = value + 1
    return changed
'''


def test_the_first_dedent_ends_a_body() -> None:
    whole = cut(_HEAD, "    return 2 * x\n\n\ndef other(")
    assert whole == _HEAD + "    return 2 * x\n\n\n"
    assert is_body(_HEAD, whole)


def test_without_a_dedent_the_last_half_line_goes() -> None:
    assert cut(_HEAD, "    y = 2 * x\n    return y +") == _HEAD + "    y = 2 * x\n"


def test_what_continues_the_heads_own_line_is_no_dedent() -> None:
    assert cut("def f():\n    return", " 1\nx = 2\n") == "def f():\n    return 1\n"
    assert cut("def f(a", ", b):\n    return a\nx = 2\n") == "def f(a, b):\n    return a\n"


def test_a_docstring_alone_is_no_body() -> None:
    assert not is_body(_HEAD, cut(_HEAD, "x = 1\n"))
    assert not is_body(_HEAD, cut(_HEAD, "    return (2\n\nx"))
    assert not is_body(_HEAD, _HEAD + "    return 1\nx = 2\n")


def test_functions_are_asked_without_their_bodies_and_margins() -> None:
    heads = sorted(function.head for function in functions([_MODULE], 10, seed=1))
    assert heads == [
        'def first(self, default=None):\n    """The first thing, or the default."""\n',
        "def outer(value):\n    # A comment before the body.\n",
    ]


def test_lines_stand_between_what_is_around_them() -> None:
    asked = lines([_MODULE], 3, seed=1)
    assert len(asked) == 3
    for line in asked:
        assert line.before + line.text + line.after in _MODULE
        assert line.text[0].isalpha()
        assert line.after.startswith("\n")
