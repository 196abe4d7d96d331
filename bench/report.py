"""Prints what a benchmark found: a table for the eye, and a row for bench/LOG.md."""

import math
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` (0 to 1) of all values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under a head; numbers stand right, floats with three significant places or so."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(len(column) for column in columns) for columns in zip(head, *cells, strict=True)]
    for row in (list(head), *cells):
        first, *others = zip(row, widths, strict=True)
        print("  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]))


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}" if abs(value) < 1 else f"{value:.1f}"
    return str(value)


def log_row(bench: str, command: str, result: str) -> None:
    """Print the row that goes into bench/LOG.md by hand, once somebody has judged it."""
    machine = f"{os.cpu_count()} x {platform.machine()}, Python {platform.python_version()}"
    cells = (time.strftime("%Y-%m-%d"), _commit(), machine, bench, f"`{command}`", result)
    print(f"\nfor bench/LOG.md:\n| {' | '.join(cells)} |")


def _commit() -> str:
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return "-"
    return done.stdout.strip()


def verdict(name: str, value: float, *, at_least: float | None = None, at_most: float | None = None) -> str:
    """One line that says whether a number meets its target."""
    met = (at_least is None or value >= at_least) and (at_most is None or value <= at_most)
    target = f"at least {at_least:g}" if at_least is not None else f"at most {at_most:g}"
    return f"{name}: {value:.3g} (target {target}: {'met' if met else 'MISSED'})"
