"""The project's own rules: its file checks find what they should, its examples hold."""

import importlib.util
import re
import tomllib
from pathlib import Path

import pytest

from signalbox.app.load import Sources, load, resolve

ROOT = Path(__file__).parent.parent

_spec = importlib.util.spec_from_file_location("check_files", ROOT / "tools/check_files.py")
assert _spec is not None
assert _spec.loader is not None
check_files = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(check_files)

CODE = "def double(x):\n    return 2 * x\n"
TABLE = "class Row:\n    name: str\n\n    def key(self) -> str:\n        '''What it is.'''\n        ...\n"


def write(root: Path, name: str, text: str) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return Path(name)


def test_long_files_and_functions_are_found(tmp_path: Path) -> None:
    write(tmp_path, "src/signalbox/fits.py", "x = 1\n" * 500)
    write(tmp_path, "src/signalbox/long.py", "x = 1\n" * 501)
    write(tmp_path, "src/signalbox/deep.py", "class A:\n    async def f(self):\n" + "        x = 1\n" * 60)
    assert list(check_files.check_sizes(tmp_path)) == [
        "src/signalbox/deep.py:2: f has 61 lines, 60 are allowed",
        "src/signalbox/long.py:1: the file has 501 lines, 500 are allowed",
    ]


def test_modules_with_code_need_a_test_file(tmp_path: Path) -> None:
    for name in ("grid/models.py", "core/ids.py", "core/__init__.py", "core/new.py"):
        write(tmp_path, f"src/signalbox/{name}", TABLE if name.endswith("models.py") else CODE)
    write(tmp_path, "tests/core/test_ids.py", "")
    write(tmp_path, "tests/core/test_core.py", "")
    breaches = list(check_files.check_tests(tmp_path, {}))
    assert breaches == ["src/signalbox/core/new.py:1: tests/core/test_new.py is missing"]


def test_the_list_of_modules_tested_elsewhere_may_hold_nothing_else(tmp_path: Path) -> None:
    write(tmp_path, "src/signalbox/core/new.py", CODE)
    assert list(check_files.check_tests(tmp_path, {"core/*": "because"})) == []
    write(tmp_path, "tests/core/test_new.py", "")
    assert len(list(check_files.check_tests(tmp_path, {"core/*": "because"}))) == 1


@pytest.mark.parametrize(
    ("name", "text", "wrong"),
    [
        ("a.md", "see https://" + "pypi" + ".org/simple", True),
        ("a.md", "FROM " + "ghcr" + ".io/x", True),
        ("a.md", "cd /" + "home/somebody", True),
        ("a.md", "GET /b/home/x and ./work/x, see https://example.com/opt/x", False),
        ("requirements/a.txt", "x @ https://example.com/x.whl", True),
        ("requirements/a.txt", "--find-links=wheels", True),
        ("requirements/a.txt", "x==1 \\\n    --hash=sha256:00", False),
    ],
)
def test_foreign_addresses_are_found(tmp_path: Path, name: str, text: str, wrong: bool) -> None:
    assert bool(list(check_files.check_words(tmp_path, [write(tmp_path, name, text)]))) is wrong


def test_pins_are_the_same_in_all_requirements() -> None:
    pins: dict[str, set[str]] = {}
    for path in (ROOT / "requirements").glob("*.txt"):
        for name, version in re.findall(r"^([a-z0-9-]+)==(\S+)", path.read_text(encoding="utf-8"), re.MULTILINE):
            pins.setdefault(name, set()).add(version)
    assert {name: versions for name, versions in pins.items() if len(versions) > 1} == {}


@pytest.mark.parametrize("path", sorted((ROOT / "requirements").glob("*.txt")), ids=lambda path: path.stem)
def test_pins_have_the_hashes_of_all_files(path: Path) -> None:
    """A single hash is that of one wheel, from an index that has no others: elsewhere the pin could not be installed."""
    pins = re.split(r"^(?=[a-z0-9-]+==)", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    assert [pin.partition(" ")[0] for pin in pins if pin.count("--hash=sha256:") < 2] == []


def test_every_dependency_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    for file, ranges in {
        "runtime": [*project["dependencies"], *extras["postgresql"]],
        "dev": [*project["dependencies"], *extras["postgresql"], *extras["dev"]],
        "bench": extras["bench"],
    }.items():
        pinned = (ROOT / f"requirements/{file}.txt").read_text(encoding="utf-8")
        names = [re.split(r"[\[<>=;]", each)[0] for each in ranges]
        missing = [name for name in names if f"\n{name}==" not in pinned]
        assert missing == [], f"requirements/{file}.txt: run make lock"


def test_the_example_of_dotenv_names_settings_only(tmp_path: Path) -> None:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    variables = dict(line[1:].split("=", 1) for line in text.splitlines() if re.match(r"#[A-Z_]+=", line))
    for name in [name for name in variables if name.endswith("_FILE") and not name.endswith("__FILE")]:
        secret = "postgresql://db.example.com/signalbox" if "DATABASE" in name else "k" * 32
        variables[name] = str(tmp_path / write(tmp_path, name, secret))
    del variables["SIGNALBOX_GATEWAY__DEFAULT"]  # needs an upstream, which the example leaves to signalbox.toml
    sources = Sources(dotenv=resolve(variables))
    assert sources.strangers() == []
    assert load({}, sources).port == 8000
