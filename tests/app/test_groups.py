import subprocess
import sys
from functools import partial

import pytest

from signalbox.app.groups import ENTRIES
from signalbox.app.invocation import Invocation
from signalbox.app.lazy import load_from

HEAVY = ("numpy", "sqlalchemy", "fastapi", "uvicorn")
CODE = """
import sys
from signalbox.app.cli import main
try:
    main()
finally:
    print(*sys.modules, file=sys.stderr)
"""


@pytest.mark.parametrize("name", ENTRIES)
def test_each_command_is_found_under_its_name_and_says_what_it_does(name: str) -> None:
    loaded = load_from(partial(ENTRIES[name].add, invocation=Invocation()), name)
    assert loaded.name == name
    assert loaded.help
    assert ENTRIES[name].help


@pytest.mark.parametrize("word", ["--version", "--help", "nonsense"])
def test_nothing_large_is_imported_before_a_command_is_called(word: str) -> None:
    ran = subprocess.run([sys.executable, "-c", CODE, word], capture_output=True, text=True, check=False, timeout=30)
    imported = ran.stderr.split()
    assert "signalbox.app.cli" in imported
    assert [name for name in HEAVY if name in imported] == []
