"""What may go into the demo model's corpus, and what counts as the same text."""

import pytest
from training.demo.corpus import _is_new, is_held_out, is_permissive, is_source

_TEXT = '''
def area(width: float, height: float) -> float:
    """The area of a rectangle."""
    if width < 0 or height < 0:
        raise ValueError("lengths are not negative")
    return width * height
'''


@pytest.mark.parametrize(
    "licence",
    ["MIT", "BSD-3-Clause", "Apache Software License", "PSF-2.0", "BSD 3-Clause License", "MIT AND PSF-2.0"],
)
def test_permissive_licences_may_go_in(licence: str) -> None:
    assert is_permissive(licence)


@pytest.mark.parametrize(
    "licence", ["", "MPL-2.0", "MPL-2.0 AND MIT", "GPL-3.0", "NVIDIA Proprietary Software", "BSD-3-Clause AND Zlib"]
)
def test_others_may_not_even_in_part(licence: str) -> None:
    assert not is_permissive(licence)


def test_one_permissive_choice_is_enough() -> None:
    assert is_permissive("GPL-2.0 OR MIT")


def test_a_resembling_file_is_a_duplicate() -> None:
    seen: set[bytes] = set()
    assert _is_new(_TEXT, seen)
    assert not _is_new(_TEXT.replace("width * height", "height * width"), seen)
    assert not _is_new(_TEXT.replace("    ", "\t"), seen)
    assert _is_new("def circumference(radius):\n    return 2 * math.pi * radius\n", seen)


def test_tables_minified_and_generated_code_are_no_source() -> None:
    assert is_source(_TEXT)
    assert not is_source("DATA = [" + ", ".join(map(str, range(2000))) + "]\n")
    assert not is_source("\n".join(f"{number}, {number + 1}," for number in range(500)))
    assert not is_source("# This file was generated, please DO NOT EDIT\n" + _TEXT)


def test_the_split_depends_on_path_and_seed_only() -> None:
    paths = [f"package/module_{number}.py" for number in range(5000)]
    chosen = {path for path in paths if is_held_out(path, 20)}
    assert chosen == {path for path in reversed(paths) if is_held_out(path, 20)}
    assert 100 < len(chosen) < 200  # three in a hundred
    assert chosen != {path for path in paths if is_held_out(path, 21)}
