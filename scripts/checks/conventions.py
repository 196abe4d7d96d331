"""The house's conventions that no linter knows: sizes, names, and what may stand where.

Prints one `file:line: reason` for each breach and exits with 1 when there is one. Every exemption has its reason.
"""

import ast
import io
import re
import sys
import tokenize
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
CODE = ("src", "tests", "bench", "examples", "scripts")
PROSE = ("docs", "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "scripts", ".ci", "pyproject.toml", ".importlinter")

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 80
MAX_PARAMETERS = 6
MAX_DOCSTRING_LINES = 4

# (rule, path) -> why this one may.
EXEMPT = {
    ("docstring", "src/pronto/core/errors.py"): "it draws the tree of errors",
    ("environment", "src/pronto/fleet/fork_server.py"): "it gives a forked worker the environment that it was sent",
}

VAGUE_NAMES = re.compile(r"^_?(utils?|helpers?|managers?|services?|commons?|misc|stuff)$")
HEAVY = frozenset(
    {"accelerate", "diffusers", "huggingface_hub", "nncf", "openvino", "openvino_genai", "openvino_tokenizers"}
    | {
        "optimum",
        "pandas",
        "sentence_transformers",
        "skops",
        "sklearn",
        "soundfile",
        "torch",
        "torchvision",
        "transformers",
        "vllm",
    }
)
UNSAFE_MODULES = frozenset({"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve"})
SQL = re.compile(r"\b(SELECT\s|INSERT\s+(OR\s+\w+\s+)?INTO\s|UPDATE\s+\w+\s+SET\s|DELETE\s+FROM\s|ALTER\s+TABLE\s)")
LEFTOVER = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
MACHINE_PATH = re.compile(r"(?<![\w.$}~])/(home|root|work|Users|farm|mnt|scratch)/")
SILENCED = re.compile(r"(noqa(?P<rule>:\s*\w+)?|type:\s*ignore(?P<kind>\[[\w,-]+\])?)(?P<reason>.*)")
PURE = {
    "src/pronto/core/": ("pronto.core", "msgspec"),
    "src/pronto/wire/": ("pronto.core", "pronto.wire", "msgspec"),
}


class Source(NamedTuple):
    """A parsed Python file. `path` is relative to the repository and uses slashes."""

    path: str
    text: str
    tree: ast.Module

    @property
    def is_product(self) -> bool:
        return self.path.startswith("src/")

    @property
    def is_test(self) -> bool:
        return self.path.startswith("tests/")


Breach = tuple[int, str]  # line, reason


def sizes(source: Source) -> Iterator[Breach]:
    lines = source.text.count("\n")
    if lines > MAX_FILE_LINES:
        yield lines, f"the file has {lines} lines; {MAX_FILE_LINES} are the most: split it by subject"
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > MAX_FUNCTION_LINES:
                yield node.lineno, f"{node.name}() has {length} lines; {MAX_FUNCTION_LINES} are the most"
            count = _parameters(node)
            if count > MAX_PARAMETERS and not source.is_test and not _is_command(node):
                yield (
                    node.lineno,
                    f"{node.name}() takes {count} parameters; at most {MAX_PARAMETERS}: make a struct",
                )


def _parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    named = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    return len([argument for argument in named if argument.arg not in ("self", "cls")])


def _is_command(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """The parameters of a Typer command are its options on the command line, not a signature."""
    calls = [item.func for item in node.decorator_list if isinstance(item, ast.Call)]
    return any(isinstance(call, ast.Attribute) and call.attr in ("command", "callback") for call in calls)


def docstring(source: Source) -> Iterator[Breach]:
    text = ast.get_docstring(source.tree)
    if text is None:
        if source.text.strip():
            yield 1, "the module has no docstring: say in a line what it does"
    elif len(text.splitlines()) > MAX_DOCSTRING_LINES:
        yield 1, f"the module's docstring has over {MAX_DOCSTRING_LINES} lines: move the rest to where it belongs"


def names(source: Source) -> Iterator[Breach]:
    path = Path(source.path)
    for part in (*path.parent.parts, path.stem):
        if VAGUE_NAMES.match(part):
            yield 1, f"`{part}` says nothing about what is in it: name the subject"


def comments(source: Source) -> Iterator[Breach]:
    for token in tokenize.generate_tokens(io.StringIO(source.text).readline):
        if token.type != tokenize.COMMENT:
            continue
        line, text = token.start[0], token.string
        if LEFTOVER.search(text):
            yield line, "unfinished business in a comment: finish it or open an issue"
        silenced = SILENCED.search(text)
        if silenced and not (silenced["rule"] or silenced["kind"]):
            yield line, "name the rule that is silenced"
        elif silenced and len(silenced["reason"].strip(" #:-,").split()) < 2:
            yield line, "a silenced rule has its reason on its line: `# noqa: X  because ...`"


def environment(source: Source) -> Iterator[Breach]:
    if not source.is_product or source.path == "src/pronto/settings.py":
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Attribute):
            touches = _dotted(node) in ("os.environ", "os.getenv", "os.putenv")
        elif isinstance(node, ast.ImportFrom) and node.module == "os":
            touches = bool({name.name for name in node.names} & {"environ", "getenv", "putenv"})
        else:
            continue
        if touches:
            yield node.lineno, "the environment is read in settings.py only"


def heavy_imports(source: Source) -> Iterator[Breach]:
    if not source.is_product:
        return
    for node in _module_level(source.tree.body):
        for name in _imported(node):
            if name.partition(".")[0] in HEAVY:
                yield node.lineno, f"`{name}` takes seconds to import: import it inside the function that needs it"


def _module_level(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements that run at import: those of the module, its classes, and its `if` and `try` blocks."""
    for node in body:
        yield node
        if isinstance(node, ast.If) and _dotted(node.test).endswith("TYPE_CHECKING"):
            continue
        for field in ("body", "orelse", "finalbody"):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield from _module_level(getattr(node, field, []))


def pure(source: Source) -> Iterator[Breach]:
    """core and wire need the standard library, msgspec and core only."""
    allowed = next((names for folder, names in PURE.items() if source.path.startswith(folder)), None)
    if allowed is None:
        return
    for node in ast.walk(source.tree):
        for name in _imported(node):
            is_stdlib = name.partition(".")[0] in sys.stdlib_module_names
            if not is_stdlib and not any(name == one or name.startswith(one + ".") for one in allowed):
                yield _line(node), f"`{name}` is not for this package; it may import {', '.join(allowed)}"


def prints(source: Source) -> Iterator[Breach]:
    if not source.is_product or source.path.startswith("src/pronto/cli/"):
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call) and _dotted(node.func) == "print" and not _inside_main(source.tree, node):
            yield node.lineno, "only the command line prints: log it"


def _inside_main(tree: ast.Module, call: ast.Call) -> bool:
    """Whether it stands under `if __name__ == "__main__"`: then the module is a command of its own."""
    mains = [node for node in tree.body if isinstance(node, ast.If) and "__name__" in ast.dump(node.test)]
    return any(node.lineno <= call.lineno <= (node.end_lineno or 0) for node in mains)


def sql_strings(source: Source) -> Iterator[Breach]:
    for node in ast.walk(source.tree):
        pieces: list[ast.expr] = []
        if isinstance(node, ast.JoinedStr):
            pieces = node.values
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
            pieces = [node.left]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
            pieces = [node.func.value]
        text = "".join(str(piece.value) for piece in pieces if isinstance(piece, ast.Constant))
        if pieces and SQL.search(text):
            yield _line(node), "SQL is never put together from strings: bind parameters"


def unsafe(source: Source) -> Iterator[Breach]:
    if source.is_test:
        return
    for node in ast.walk(source.tree):
        for name in _imported(node):
            if name.partition(".")[0] in UNSAFE_MODULES:
                yield _line(node), f"`{name}` runs what it reads: use msgpack or safetensors"
        if isinstance(node, ast.Call):
            if _dotted(node.func) in ("eval", "exec", "os.system", "__import__"):
                yield node.lineno, f"{_dotted(node.func)}() runs text as code"
            if any(word.arg == "shell" and getattr(word.value, "value", None) is True for word in node.keywords):
                yield node.lineno, "no shell: pass a list of arguments"


def machine_paths(source: Source) -> Iterator[Breach]:
    yield from _machine_paths(source.text)


def _machine_paths(text: str) -> Iterator[Breach]:
    for number, line in enumerate(text.splitlines(), 1):
        if MACHINE_PATH.search(line):
            yield number, "a path of one machine: make it relative, or an argument"


def _line(node: ast.AST) -> int:
    return int(getattr(node, "lineno", 1))


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [name.name for name in node.names]
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return [node.module]
    return []


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


RULES: dict[str, Callable[[Source], Iterator[Breach]]] = {
    "sizes": sizes,
    "docstring": docstring,
    "names": names,
    "comments": comments,
    "environment": environment,
    "heavy imports": heavy_imports,
    "pure packages": pure,
    "prints": prints,
    "sql": sql_strings,
    "unsafe": unsafe,
    "machine paths": machine_paths,
}


def breaches(root: Path) -> Iterator[str]:
    """Every breach below `root`, as `path:line: reason`; also exemptions that nothing needs any more."""
    used = set()
    for folder in CODE:
        for file in sorted((root / folder).rglob("*.py")):
            path = file.relative_to(root).as_posix()
            text = file.read_text(encoding="utf-8")
            source = Source(path, text, ast.parse(text, path))
            for rule, check in RULES.items():
                for line, reason in check(source):
                    if (rule, path) in EXEMPT:
                        used.add((rule, path))
                    else:
                        yield f"{path}:{line}: {reason}"
    for rule, path in EXEMPT.keys() - used:
        yield f"scripts/checks/conventions.py:1: the exemption of {path} from `{rule}` is not needed any more"
    yield from _prose_breaches(root)


def _prose_breaches(root: Path) -> Iterator[str]:
    for name in PROSE:
        start = root / name
        for file in sorted(start.rglob("*")) if start.is_dir() else [start]:
            if file.is_file() and file.suffix not in (".py", ".pyc", ".png"):
                for line, reason in _machine_paths(file.read_text(encoding="utf-8")):
                    yield f"{file.relative_to(root).as_posix()}:{line}: {reason}"


if __name__ == "__main__":
    found = list(breaches(ROOT))
    print(*found, sep="\n", end="\n" if found else "")
    sys.exit(bool(found))
