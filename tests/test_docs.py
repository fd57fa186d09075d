"""What the documents name is there: settings with their defaults, commands with their options, addresses, files."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast, get_args

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from typer.core import TyperCommand, TyperGroup
from typer.main import get_group

from signalbox.app.groups import ENTRIES
from signalbox.app.hub import LIVE
from signalbox.app.invocation import Invocation
from signalbox.app.lazy import new_app
from signalbox.app.settings import Settings
from signalbox.core.registry import OneOf

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("deploy/**/*.md")])
SETTINGS = ROOT / "docs/reference/settings.md"


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


# -- links ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_links_lead_to_files_that_are_there(path: Path) -> None:
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = [*re.findall(r"\]\(([^)\s]+)\)", text), *re.findall(r"(?:src|srcset|href)=\"([^\"]+)\"", text)]
    relative = [target.partition("#")[0] for target in targets if "://" not in target]
    assert [target for target in relative if not (path.parent / target).exists()] == []


def test_every_document_and_picture_is_linked() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in DOCUMENTS)
    there = [path for path in ROOT.glob("docs/**/*") if path.suffix in {".md", ".png"}]
    assert [named(path) for path in there if f"/{path.name}" not in text and f"({path.name}" not in text] == []


# -- settings ---------------------------------------------------------------------------------------------------------


class Described(NamedTuple):
    """A setting in the document: its dotted name and what is said of its default."""

    name: str
    default: str | None


ELSEWHERE = re.compile(
    r"gateway\.upstreams\.limits\.\w+"  # in the line of `limits`
    r"|notifications\.default\..*|notifications\.inhibit\.(source|target)\..*"  # as in routes
    r"|budget_margin"  # in a sentence
)
"""Settings that have no line of their own."""

WORDS = re.compile(
    r"|-|none|all|required|whole answer|the topic|its position|(made|that|as|this or) .*|.* \(.*\)|`(.*)`"
)
"""What stands in the column of defaults where it is not the value itself."""


def models_of(field: FieldInfo) -> Iterator[tuple[str, type[BaseModel]]]:
    """The models that a field holds; plug-ins with their kind."""
    for mark in (*field.metadata, *(each for part in get_args(field.annotation) for each in get_args(part))):
        if isinstance(mark, OneOf):
            yield from ((f"[{get_args(model.model_fields['kind'].annotation)[0]}]", model) for model in mark.models)
            return
    waiting: list[Any] = [field.annotation]
    while waiting:
        each = waiting.pop()
        if isinstance(each, type) and issubclass(each, BaseModel):
            yield "", each
        waiting += get_args(each)


def fields_of(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """All settings by their dotted names; those of a kind of plug-in as ``channels[slack].token``."""
    for name, field in model.model_fields.items():
        full = prefix + (field.alias or name)
        yield full, field
        for kind, inner in models_of(field):
            yield from fields_of(inner, f"{full}{kind}.")


def described() -> Iterator[Described]:
    """The rows of the tables in the reference."""
    prefix, kind, by_kind = "", "", False
    for line in SETTINGS.read_text(encoding="utf-8").splitlines():
        if heading := re.search(r"`\[{1,2}([\w.]+)\]{1,2}`", line if not line.startswith("|") else ""):
            prefix, by_kind = f"{heading[1]}.", line.startswith("**Kinds")
        if not line.startswith("| "):
            continue
        cells = [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if by_kind:
            first, *cells = cells
            kind = first.strip("`") or kind
        names = re.findall(r"`([\w.]+)`", cells[0])
        base = f"{prefix.removesuffix('.')}[{kind}]." if by_kind else prefix
        full = [base + (names[0].rpartition(".")[0] + name if name.startswith(".") else name) for name in names]
        defaults = [cells[1]] if len(full) == 1 else cells[1].split(", ")
        yield from (
            Described(name, defaults[place] if len(defaults) == len(full) else None) for place, name in enumerate(full)
        )


def without_kind(name: str) -> str:
    return re.sub(r"\[.*?\]", "", name)


def spelt(value: object) -> set[str]:
    """How the document may write a default."""
    if isinstance(value, bool):
        return {str(value).lower()}
    if isinstance(value, float):
        return {f"{value:g}"}
    if isinstance(value, (list, tuple, frozenset)):
        items = list(value) if isinstance(value, (list, tuple)) else sorted(value)
        return {json.dumps(items), ", ".join(map(str, items))}
    return {str(value), json.dumps(value)} if isinstance(value, (str, dict)) else {str(value)}


def test_every_setting_is_described() -> None:
    known = {row.name for row in described()}
    leaves = [name for name, field in fields_of(Settings) if not list(models_of(field))]
    assert [
        name
        for name in leaves
        if not {name, without_kind(name)} & known and not ELSEWHERE.fullmatch(without_kind(name))
    ] == []


def test_every_setting_that_is_described_is_there_with_its_default() -> None:
    fields = dict(fields_of(Settings))
    fields |= {without_kind(name): field for name, field in fields.items()}
    wrong = []
    for name, default in described():
        if name not in fields:
            wrong.append(f"{name} is no setting")
        elif default is not None and not WORDS.fullmatch(default):
            value = fields[name].get_default(call_default_factory=True)
            if default not in spelt(value):
                wrong.append(f"{name} is {value!r}, not {default}")
        elif default == "required" and not fields[name].is_required():
            wrong.append(f"{name} may be left out")
    assert wrong == []


def test_what_needs_a_restart_says_so() -> None:
    marked, ending = set[str](), re.compile(r"(needs a restart|(^|[.)] )R)( \|)?$")
    for line in SETTINGS.read_text(encoding="utf-8").splitlines():
        if ending.search(line.strip()) and (name := re.search(r"`[\[]*(\w+)", line)):
            marked.add(name[1])
    of_auth = {"jwt_key", "max_remembered"}  # the rest of it does not
    elsewhere = {"port", "budget_margin"}  # in the line of host; in a sentence
    assert marked | elsewhere == {*Settings.model_fields} - LIVE | of_auth


# -- commands ---------------------------------------------------------------------------------------------------------

USED = re.compile(
    r"^(?:\$ )?(?:\.venv/bin/)?signalbox ([a-z].*)|`(?:\.venv/bin/)?signalbox ([a-z][^`]*)`", re.MULTILINE
)


def commands_of(group: TyperGroup, *before: str) -> Iterator[tuple[str, TyperCommand]]:
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from commands_of(command, *before, name)
        else:
            yield " ".join((*before, name)), cast("TyperCommand", command)


@pytest.fixture(scope="module")
def commands() -> dict[str, TyperCommand]:
    """All commands by their words, such as ``users add``."""
    app = new_app()
    for entry in set(ENTRIES.values()):
        entry.add(app, invocation=Invocation())
    return dict(commands_of(get_group(app)))


def uses_of(text: str) -> Iterator[str]:
    """Each use of a command, without the word ``signalbox``; ``list|show`` are two."""
    text = re.sub(r"\s#.*|[\[\]()]|\.\.\.", " ", text.replace("\\|", "|"))
    first, _, rest = text.partition(" ")
    second, _, rest = rest.partition(" ")
    yield from (f"{first} {each} {rest}".strip() for each in second.split("|"))


def fault_of(use: str, commands: dict[str, TyperCommand]) -> str | None:
    """What is wrong with words that stand behind ``signalbox``."""
    words = [word for word in use.split() if word not in {"--config", "--data-dir"}]
    found = next((name for count in (3, 2, 1) if (name := " ".join(words[:count])) in commands), None)
    if found is None:
        is_group = any(name.startswith(f"{use} ") for name in commands)
        return None if is_group else f"there is no command {use!r}"
    known = {option for each in commands[found].params for option in (*each.opts, *each.secondary_opts)}
    strange = [word for word in re.findall(r"(?<!\S)--[a-z-]+", use) if word not in known]
    return f"{found} has no {strange}" if strange else None


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_commands_are_there_with_their_options(path: Path, commands: dict[str, TyperCommand]) -> None:
    found = [use for pair in USED.findall(path.read_text(encoding="utf-8")) for use in pair if use]
    assert [fault for text in found for use in uses_of(text) if (fault := fault_of(use, commands))] == []


def test_every_command_is_described(commands: dict[str, TyperCommand]) -> None:
    lines = (ROOT / "docs/reference/cli.md").read_text(encoding="utf-8").splitlines()
    first = [re.split(r"(?<!\\)\|", line)[1] for line in lines if line.startswith("| `")]
    told = [each.removeprefix("signalbox ") for cell in first for each in re.findall(r"`([^`]+)`", cell)]
    uses = [use for each in told if not each.startswith("--") for use in uses_of(each)]
    assert [fault for use in uses if (fault := fault_of(use, commands))] == []
    assert [name for name in commands if not any(f"{use} ".startswith(f"{name} ") for use in uses)] == []


def test_targets_of_make_are_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    used = {
        (named(path), each)
        for path in DOCUMENTS
        for each in re.findall(r"(?:`|^\$ |^)make ([a-z-]+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert [(path, each) for path, each in sorted(used) if each not in targets] == []


# -- addresses --------------------------------------------------------------------------------------------------------

ADDRESS = re.compile(
    r"(?<![\w/.])(?:https?://(?:127\.0\.0\.1|localhost)[:\d]*)?(/(?:api|auth|secapp)/[\w./{}-]*[\w}/])"
)
INVENTED = ("/api/lamps",)


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_addresses_of_the_api_are_there(path: Path) -> None:
    described = json.loads((ROOT / "docs/reference/openapi.json").read_text(encoding="utf-8"))["paths"]
    known = [re.compile(re.sub(r"\\{.*?\\}", "[^/]+", re.escape(each))) for each in described]
    used = {each for each in ADDRESS.findall(path.read_text(encoding="utf-8")) if each not in INVENTED}
    beginnings = {each for each in used if each.endswith("/") and any(one.startswith(each) for one in described)}
    assert [each for each in used - beginnings if not any(one.fullmatch(each) for one in known)] == []


# -- files ------------------------------------------------------------------------------------------------------------

FOLDERS = sorted(path.name for top in (ROOT, ROOT / "src/signalbox") for path in top.iterdir() if path.is_dir())
FILE = re.compile(rf"`((?:{'|'.join(each for each in FOLDERS if each.isalpha())})/[\w/.-]*\w)`")
MADE_IN_EXAMPLES = re.compile(r".*lamps.*|.*test_(ntfy|signed)\.py")


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_files_and_folders_that_are_named_are_there(path: Path) -> None:
    names = {each for each in FILE.findall(path.read_text(encoding="utf-8")) if not MADE_IN_EXAMPLES.fullmatch(each)}
    places = [ROOT, ROOT / "src/signalbox"]
    assert [
        each for each in names if not any((top / each).exists() or (top / f"{each}.py").exists() for top in places)
    ] == []
