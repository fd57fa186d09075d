"""Checks what no linter checks: the size of files and functions, a test file for each module, no foreign addresses.

Run by ``make files``. Prints one line for each breach, ``path:line: what is wrong``, and exits with 1 if there are any.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path
from types import MappingProxyType

ROOT = Path(__file__).parent.parent
PACKAGE = Path("src/signalbox")

MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 60

TESTED_ELSEWHERE: Mapping[str, str] = MappingProxyType(
    {
        "app/features/*": "a feature's parts put together: tried by tests/app/test_hub.py and with the feature itself",
        "migrations/*": "run on both databases by tests/infra/db/test_migrate.py",
    }
)
"""Modules without a test file of their own, and where they are tested. Patterns are relative to the package."""

# The alternatives are written so that this file does not hold what it looks for.
REGISTRY = re.compile(r"\b(?:pypi|pythonhosted|npmjs|yarnpkg|crates|docker|ghcr|quay)\.(?:org|com|io)\b", re.IGNORECASE)
MACHINE_PATH = re.compile(r"(?<![\w./-])/(?:work|opt|root|home|Users)/\w")
ADDRESS = re.compile(r"://|^\s*--?(?:i|f|index-url|extra-index-url|find-links)\b")

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


def check_sizes(root: Path) -> Iterator[str]:
    """No file of the package over 500 lines, no function over 60."""
    for path in modules(root):
        text = (root / path).read_text(encoding="utf-8")
        if (lines := text.count("\n")) > MAX_FILE_LINES:
            yield f"{path}:1: the file has {lines} lines, {MAX_FILE_LINES} are allowed"
        for function in functions(text):
            if (lines := function_lines(function)) > MAX_FUNCTION_LINES:
                yield f"{path}:{function.lineno}: {function.name} has {lines} lines, {MAX_FUNCTION_LINES} are allowed"


def check_tests(root: Path, allowed: Mapping[str, str] = TESTED_ELSEWHERE) -> Iterator[str]:
    """Every module with code has its test file, unless it is listed; every entry of the list is needed."""
    unused = set(allowed)
    for path in modules(root):
        if (root / file_of_tests(path)).is_file() or not has_code((root / path).read_text(encoding="utf-8")):
            continue
        entry = next((each for each in allowed if fnmatch(path.relative_to(PACKAGE).as_posix(), each)), None)
        if entry is None:
            yield f"{path}:1: {file_of_tests(path)} is missing"
        unused.discard(entry or "")
    for entry in sorted(unused):
        yield f"tools/check_files.py:1: TESTED_ELSEWHERE lists {entry!r}, which has its tests, no code, or does not exist"


def check_words(root: Path, files: list[Path]) -> Iterator[str]:
    """No package registry and no path of somebody's machine in any file; no address at all in requirements."""
    for path in files:
        try:
            lines = (root / path).read_text(encoding="utf-8").splitlines()
        except (UnicodeDecodeError, FileNotFoundError):  # binary, or deleted but not yet staged
            continue
        for number, line in enumerate(lines, start=1):
            if REGISTRY.search(line):
                yield f"{path}:{number}: names a package registry"
            if MACHINE_PATH.search(line):
                yield f"{path}:{number}: names a path of somebody's machine"
            if path.parts[0] == "requirements" and ADDRESS.search(line):
                yield f"{path}:{number}: requirements name no addresses"


def modules(root: Path) -> list[Path]:
    """The package's Python files, relative to ``root``."""
    return sorted(path.relative_to(root) for path in (root / PACKAGE).rglob("*.py"))


def functions(source: str) -> Iterator[FunctionNode]:
    """All functions and methods, nested ones included."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def function_lines(function: FunctionNode) -> int:
    """Lines from ``def`` to the end."""
    return (function.end_lineno or function.lineno) - function.lineno + 1


def has_code(source: str) -> bool:
    """Whether any function does something: tables, wire types and protocols alone have nothing to test."""
    return any(not all(map(is_empty, function.body)) for function in functions(source))


def is_empty(statement: ast.stmt) -> bool:
    """Whether a statement is a docstring, ``...`` or ``pass``."""
    is_constant = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return is_constant or isinstance(statement, ast.Pass)


def file_of_tests(module: Path) -> Path:
    """Where a module's tests are: ``gateway/paths.py`` in ``gateway/test_paths.py``, a package in its own folder."""
    inside = module.relative_to(PACKAGE)
    name = inside.parent.name or PACKAGE.name if inside.stem == "__init__" else inside.stem
    return Path("tests") / inside.parent / f"test_{name}.py"


def committed_files(root: Path) -> list[Path]:
    """What git knows or would add."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout
    return sorted({Path(name) for name in listed.split("\0") if name})


def main() -> int:
    """Run all checks."""
    breaches = [*check_sizes(ROOT), *check_tests(ROOT), *check_words(ROOT, committed_files(ROOT))]
    for breach in breaches:
        print(breach)
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
