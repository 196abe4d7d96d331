"""The plans as data: what the package ships, and what an operator's `plans.toml` says otherwise.

Knows how they are written down, and nothing of counting or refusing.
"""

import math
import tomllib
from collections.abc import Callable, Mapping
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec

from pronto.core.plan import Per, Plan, Unit, Window
from pronto.observe import logger

FILE_NAME = "plans.toml"  # in the data directory
ANONYMOUS = "anonymous"
KEPT = 4096  # plans of accounts with limits of their own
MOST = 10**15  # of any number: sums of it stay exact in 64 bits and in JSON

log = logger("plans")


class PlanFault(ValueError):
    """A plan that cannot be meant. The message names file, line and field."""


class _At:
    """Where a value stands, for messages."""

    def __init__(self, file: str, text: str) -> None:
        self._file, self._lines = file, text.splitlines()

    def fault(self, plan: str, field: str, reason: str) -> PlanFault:
        return PlanFault(f"{self._file}, line {self._line(plan, field)}: `{field}` of the plan {plan} {reason}.")

    def _line(self, plan: str, field: str) -> int:
        inside, header = False, 1
        for number, line in enumerate(self._lines, 1):
            bare = line.strip()
            if bare.startswith("["):
                inside = bare.split("#")[0].strip(" []").split(".")[0].strip("\"' ") == plan
                header = number if inside else header
            if inside and (bare.startswith(("[", field)) and field in bare):
                return number
        return header


def read_plans(text: str, file: str) -> dict[str, dict[str, Any]]:
    """The tables of a plans file. Raises PlanFault for what is no TOML, or no table."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PlanFault(f"{file}: {error}") from None
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise PlanFault(f"{file}: {name!r} stands outside of a plan. Write it below a line like `[pro]`.")
    return tables


def make_plan(name: str, table: Mapping[str, Any], at: Callable[[str, str, str], PlanFault]) -> Plan:
    """A plan from its table. `at(plan, field, reason)` makes the error that is raised."""
    unknown = sorted(set(table) - set(_NUMBERS) - {"models"} - set(Unit))
    if unknown:
        known = ", ".join([*_NUMBERS, "models", *Unit])
        raise at(name, unknown[0], f"is not known; a plan has {known}")
    fields: dict[str, Any] = {}
    for field, (least, whole) in _NUMBERS.items():
        if field in table:
            fields[field] = _number(table[field], least, whole, partial(at, name, field))
    if "level" not in fields:
        raise at(name, "level", "is missing: give it a whole number, such as 1 for what `pro` may use")
    if "models" in table:
        fields["models"] = _patterns(table["models"], partial(at, name, "models"))
    windows = [
        window for unit in Unit if unit in table for window in _windows(unit, table[unit], partial(at, name, unit))
    ]
    return Plan(name=name, windows=tuple(windows), **fields)


# The least value, and whether it must be whole.
_NUMBERS = {
    "level": (0, True),
    "concurrency": (1, True),
    "max_new_tokens": (1, True),
    "weight": (0.001, False),
    "queue_deadline": (0.1, False),
}


def _number(value: Any, least: float, whole: bool, fault: Callable[[str], PlanFault]) -> float:
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        raise fault(f"must be a {'whole ' if whole else ''}number; it is {value!r}")
    if not math.isfinite(value) or not least <= value <= MOST:
        raise fault(f"must be between {least} and {MOST}; it is {value!r}")
    return int(value) if whole else float(value)


def _patterns(value: Any, fault: Callable[[str], PlanFault]) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
        raise fault('must be a list of model ids or patterns, such as ["demo/*"]')
    return tuple(value)


def _windows(unit: Unit, value: Any, fault: Callable[[str], PlanFault]) -> list[Window]:
    if not isinstance(value, dict):
        raise fault("must name windows, such as { hour = 300, day = 1000 }")
    found = []
    for word, amount in value.items():
        try:
            per = Per(word)
        except ValueError:
            raise fault(f"has no window {word!r}; the windows are {', '.join(Per)}") from None
        limits = amount if isinstance(amount, dict) else {"limit": amount}
        if unknown := sorted(set(limits) - {"limit", "burst"}):
            raise fault(f"has {unknown[0]!r} in its window {word}; a window has limit and burst")
        limit = int(_number(limits.get("limit"), 0, True, fault))
        burst = int(_number(limits.get("burst", limit), 0, True, fault)) if per.is_rate else 0
        if "burst" in limits and not per.is_rate:
            raise fault(f"has a burst per {word}: only minute and hour have one")
        found.append(Window(unit=unit, per=per, limit=limit, burst=min(burst, limit) if limit else 0))
    return found


class Plans:
    """All plans by name, read anew when the operator's file changes. A change that is at fault is logged, and waits."""

    def __init__(self, data_dir: Path | None = None) -> None:
        """Raises PlanFault and OSError for the operator."""
        self._file = None if data_dir is None else data_dir / FILE_NAME
        self._seen = self._stamp()
        self._tables: dict[str, dict[str, Any]] = {}
        self._special: dict[tuple[str, str], Plan] = {}  # by plan and overrides
        self._plans = self._read()

    def get(self, name: str) -> Plan:
        """Raises ValueError with a sentence for a plan that does not exist."""
        try:
            return self._plans[name]
        except KeyError:
            raise ValueError(f"There is no plan named {name!r}; the plans are {', '.join(self.names)}.") from None

    def of(self, name: str, overrides: str = "") -> Plan:
        """The plan of an account; `overrides` is JSON of the fields that its own limits replace.

        An account whose plan is gone from the file is on the free one until somebody says otherwise.
        """
        plan = self._plans.get(name) or self._plans["free"]
        return self._overridden(plan.name, overrides) if overrides else plan

    @property
    def names(self) -> tuple[str, ...]:
        """Those that an account can be on, from the lowest level up."""
        named = [plan for plan in self._plans.values() if plan.name != ANONYMOUS]
        return tuple(plan.name for plan in sorted(named, key=lambda plan: plan.level))

    def list(self) -> list[Plan]:
        return sorted(self._plans.values(), key=lambda plan: plan.level)

    def level_of(self, name: str) -> int | None:
        """None for a plan that does not exist."""
        plan = self._plans.get(name)
        return None if plan is None else plan.level

    def allows(self, plan: str, needed: str) -> bool:
        """Whether an account on `plan` may use what `needed` is needed for."""
        return self.of(plan).level >= self.get(needed).level

    def reload_if_changed(self) -> bool:
        """Whether there are new plans."""
        stamp = self._stamp()
        if stamp == self._seen:
            return False
        self._seen = stamp
        try:
            self._plans = self._read()
        except (PlanFault, OSError) as error:
            log.error("the plans are not in order; the former ones hold", reason=str(error))
            return False
        return True

    def check_overrides(self, plan: str, overrides: Mapping[str, Any]) -> str:
        """`overrides` as they are kept. Raises PlanFault for what a plan cannot have."""
        kept = msgspec.json.encode(dict(overrides)).decode()
        self._overridden(plan, kept)
        return kept

    def _overridden(self, name: str, overrides: str) -> Plan:
        key = (name, overrides)
        plan = self._special.get(key)
        if plan is None:
            table = self._tables[name] | msgspec.json.decode(overrides)
            plan = make_plan(name, table, lambda _, field, reason: PlanFault(f"`{field}` {reason}."))
            if len(self._special) >= KEPT:
                self._special.clear()
            self._special[key] = plan
        return plan

    def _read(self) -> dict[str, Plan]:
        shipped = resources.files("pronto.accounts").joinpath(FILE_NAME).read_text()
        tables = read_plans(shipped, FILE_NAME)
        text, file = "", FILE_NAME
        if self._file is not None and self._file.is_file():
            text, file = self._file.read_text(), str(self._file)
            for name, table in read_plans(text, file).items():
                tables[name] = tables.get(name, {}) | table
        at = _At(file, text).fault
        plans = {name: make_plan(name, table, at) for name, table in tables.items()}
        self._tables, self._special = tables, {}
        return plans

    def _stamp(self) -> tuple[int, int] | None:
        try:
            stat = self._file.stat() if self._file is not None else None
        except OSError:
            return None
        return None if stat is None else (stat.st_mtime_ns, stat.st_size)
