"""Draws medians and 95th percentiles as bars into a PNG, on a logarithmic scale. Knows no benchmark."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

WIDTH, ROW, TOP, LEFT, RIGHT = 1100, 44, 90, 340, 90
INK, PALE, DARK, GRID = "#1c1c28", "#b9c6f2", "#3b5bdb", "#e4e4ee"

Row = tuple[str, float, float]


def draw(path: Path, title: str, rows: Sequence[Row]) -> str:
    """Rows of (name, median, 95th percentile), all above 0; returns a line that says what became of it."""
    try:
        from PIL import Image, ImageDraw, ImageFont
    except ImportError:
        return "no picture: Pillow is not installed"
    lowest = 10 ** math.floor(math.log10(min(row[1] for row in rows)))
    highest = 10 ** math.ceil(math.log10(max(row[2] for row in rows)))
    image = Image.new("RGB", (WIDTH, TOP + ROW * len(rows) + 50), "white")
    canvas, font = ImageDraw.Draw(image), ImageFont.load_default(size=17)

    def x(value: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * math.log(value / lowest) / math.log(highest / lowest)

    canvas.text((20, 18), title, fill=INK, font=ImageFont.load_default(size=22))
    canvas.text((20, 54), "dark: half of the requests; pale: 95 % of them", fill=INK, font=font)
    _grid(canvas, x, (lowest, highest), image.height - 44)
    for number, (name, p50, p95) in enumerate(rows):
        y = TOP + ROW * number
        canvas.text((20, y + 10), name, fill=INK, font=font)
        canvas.rectangle((x(lowest), y + 6, x(p95), y + ROW - 8), fill=PALE)
        canvas.rectangle((x(lowest), y + 6, x(p50), y + ROW - 8), fill=DARK)
        canvas.text((x(p95) + 8, y + 10), f"{p95:,.0f}", fill=INK, font=font)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, optimize=True)
    return f"drawn: {path}"


def _grid(canvas: Any, x: Any, ends: tuple[float, float], bottom: float) -> None:
    from PIL import ImageFont

    mark = ends[0]
    while mark <= ends[1] * 1.001:
        canvas.line((x(mark), TOP, x(mark), bottom), fill=GRID)
        canvas.text((x(mark) - 8, bottom + 8), f"{mark:,.0f}", fill=INK, font=ImageFont.load_default(size=17))
        mark *= 10
