import pytest
from pydantic import ValidationError

from signalbox.core.rates import parse_rate
from signalbox.infra.limits.settings import BudgetSettings, host_and_port, host_name, normalize_host


def made(host: str = "api.example.com", limits: list[str] | None = None, **more: object) -> BudgetSettings:
    return BudgetSettings.model_validate({"host": host, "limits": limits or ["50/30s"], **more})


def test_a_budget_reads_as_it_is_written() -> None:
    budget = made("API.Example.com.", ["50/30s", "1000/1d"])
    assert budget.host == "api.example.com"
    assert budget.limits == [parse_rate("50/30s"), parse_rate("1000/1d")]
    assert budget.poll_share == 0.1


@pytest.mark.parametrize("host", ["api.example.com", "localhost:8000", "127.0.0.1:80", "[::1]", "[::1]:8443", "a_b"])
def test_hosts_with_and_without_a_port_are_taken(host: str) -> None:
    assert made(host).host == host


@pytest.mark.parametrize("host", ["", "https://api.example.com", "a b", "a/b", "user@a", "a:b", "::1", "a:123456"])
def test_what_is_no_host_is_refused(host: str) -> None:
    with pytest.raises(ValidationError, match="is a host name, with its port or without"):
        made(host)


def test_wrong_limits_are_refused() -> None:
    with pytest.raises(ValidationError, match="at least 1 item"):
        BudgetSettings.model_validate({"host": "a", "limits": []})
    with pytest.raises(ValidationError, match="is not a rate"):
        made(limits=["often"])
    with pytest.raises(ValidationError, match="50/30s and 40/30s have the same window"):
        made(limits=["50/30s", "1/1d", "40/30s"])
    with pytest.raises(ValidationError, match="poll_share"):
        made(poll_share=1.1)


@pytest.mark.parametrize(
    ("written", "meant", "name"),
    [
        ("API.example.com", "api.example.com", "api.example.com"),
        ("api.example.com.", "api.example.com", "api.example.com"),
        ("api.Example.com.:443", "api.example.com:443", "api.example.com"),
        ("[2001:DB8::1]:8443", "[2001:db8::1]:8443", "[2001:db8::1]"),
        ("[2001:DB8::1]", "[2001:db8::1]", "[2001:db8::1]"),
    ],
)
def test_hosts_are_compared_by_name_and_port(written: str, meant: str, name: str) -> None:
    assert normalize_host(written) == meant
    assert host_name(meant) == name


def test_an_address_of_ipv6_stands_in_brackets_before_its_port() -> None:
    assert host_and_port("::1", 80) == "[::1]:80"
    assert host_and_port("api.example.com", 443) == "api.example.com:443"
