import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from signalbox.core.registry import BrokenPluginError, OneOf, PluginSettings, discover

PLUGIN = """
from typing import ClassVar, Literal
from signalbox.core.registry import PluginSettings

class {name}Settings(PluginSettings):
    kind: Literal["{kind}"]
    url: str = "x"

class {name}:
    settings_model: ClassVar = {name}Settings

    @classmethod
    def example(cls, url):
        return {name}Settings(kind="{kind}", name="example", url=url)
"""

Package = Callable[..., str]


def plugin(name: str, kind: str) -> str:
    return PLUGIN.format(name=name, kind=kind)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Package]:
    """``package(slack="source")`` makes a package of these modules and returns its name."""
    name = "plugins_" + "".join(each if each.isalnum() else "_" for each in request.node.name)

    def make(**modules: str) -> str:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "__init__.py").touch()
        for module, source in modules.items():
            (folder / f"{module}.py").write_text(source, encoding="utf-8")
        return name

    monkeypatch.syspath_prepend(tmp_path)
    yield make
    for module in [each for each in sys.modules if each.split(".")[0] == name]:
        del sys.modules[module]


def test_a_module_that_is_put_into_the_package_is_found(package: Package) -> None:
    found = discover(package(slack=plugin("Slack", "slack"), log_file=plugin("LogFile", "log-file"), text="WIDE = 80"))
    assert {kind: each.__name__ for kind, each in found.items()} == {"log-file": "LogFile", "slack": "Slack"}
    assert found["slack"].example("https://x").model_dump() == {"kind": "slack", "name": "example", "url": "https://x"}


def test_what_a_module_imports_is_not_its_own(package: Package) -> None:
    name = package(a=plugin("A", "a"), b="from {p}.a import A, ASettings\n" + plugin("B", "b"))
    source = Path(sys.path[0]) / name / "b.py"
    source.write_text(source.read_text(encoding="utf-8").replace("{p}", name), encoding="utf-8")
    assert list(discover(name)) == ["a", "b"]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("settings_model: ClassVar = XSettings", "pass"), "one class with settings_model"),
        (("settings_model: ClassVar = XSettings", "settings_model: ClassVar = dict"), "no PluginSettings"),
        (('kind: Literal["x"]', "kind: str"), "no field kind"),
        (('kind: Literal["x"]', 'kind: Literal["x", "y"]'), "no field kind"),
        (("def example", "def sample"), "no example"),
    ],
)
def test_half_a_plugin_is_refused_with_its_module(package: Package, change: tuple[str, str], complaint: str) -> None:
    name = package(half=plugin("X", "x").replace(*change))
    with pytest.raises(BrokenPluginError, match=rf"{name}\.half is no plug-in: .*{complaint}"):
        discover(name)


def test_two_in_one_module_or_of_one_kind_are_refused(package: Package) -> None:
    with pytest.raises(BrokenPluginError, match="there is: One, Two"):
        discover(package(both=plugin("One", "one") + plugin("Two", "two")))


def test_a_kind_is_taken_once(package: Package) -> None:
    with pytest.raises(BrokenPluginError, match=r"'same' is taken by .*\.one"):
        discover(package(one=plugin("One", "same"), two=plugin("Two", "same")))


@pytest.fixture
def model(package: Package) -> type[BaseModel]:
    name = package(slack=plugin("Slack", "slack"), mail=plugin("Mail", "mail"))

    class Settings(BaseModel):
        model_config = ConfigDict(frozen=True)
        channels: list[Annotated[PluginSettings, OneOf(name)]] = []

    return Settings


def test_settings_of_any_kind_are_read_and_written_whole(model: type[BaseModel]) -> None:
    given: dict[str, Any] = {"channels": [{"kind": "mail", "name": "a"}, {"kind": "slack", "name": "b", "url": "y"}]}
    read: Any = model.model_validate(given)
    assert [type(each).__name__ for each in read.channels] == ["MailSettings", "SlackSettings"]
    assert read.model_dump(mode="json")["channels"][1] == {"kind": "slack", "name": "b", "url": "y"}
    assert model(channels=read.channels) == read


@pytest.mark.parametrize(
    ("channel", "place", "message"),
    [
        ({"kind": "fax", "name": "a"}, (), "known kinds are: mail, slack"),
        ({"name": "a"}, (), "known kinds are: mail, slack"),
        ("mail", (), "known kinds are: mail, slack"),
        ({"kind": ["mail"], "name": "a"}, (), "known kinds are: mail, slack"),
        ({"kind": "mail"}, ("name",), "Field required"),
        ({"kind": "mail", "name": "a", "url": 7}, ("url",), "valid string"),
        ({"kind": "mail", "name": "a b"}, ("name",), "pattern"),
        ({"kind": "mail", "name": "a", "colour": 7}, ("colour",), "Extra inputs"),
    ],
)
def test_a_fault_is_named_with_its_place(model: type[BaseModel], channel: Any, place: tuple[str], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        model.model_validate({"channels": [channel]})
    (error,) = caught.value.errors()
    assert error["loc"] == ("channels", 0, *place)
    assert message in error["msg"]


def test_the_schema_shows_every_kind(model: type[BaseModel]) -> None:
    schema = model.model_json_schema()
    items = schema["properties"]["channels"]["items"]
    assert items["discriminator"]["propertyName"] == "kind"
    assert set(schema["$defs"]) == {"MailSettings", "SlackSettings"}
