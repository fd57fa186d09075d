"""Settings of budgets, ``[[budgets]]``."""

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from signalbox.core.rates import Rate, RateSetting

POLL_SHARE = 0.1

_HOST = re.compile(r"([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")


def host_and_port(name: str, port: int) -> str:
    """``name:port``, an IPv6 address in brackets."""
    return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"


def normalize_host(host: str) -> str:
    """``name`` or ``name:port`` as budgets compare them: in lower case, without a dot at the end of the name."""
    host = host.lower()
    name = host_name(host)
    return name.rstrip(".") + host[len(name) :]


def host_name(host: str) -> str:
    """The name alone of ``name`` or ``name:port``; an IPv6 address keeps its brackets."""
    name, mark, port = host.rpartition(":")
    return name if mark and port.isdigit() and (":" not in name or name.endswith("]")) else host


def _check_host(host: str) -> str:
    host = normalize_host(host)
    if _HOST.fullmatch(host) is None:
        msg = "is a host name, with its port or without, such as api.example.com or api.example.com:8443"
        raise ValueError(msg)
    return host


def _check_limits(limits: list[Rate]) -> list[Rate]:
    windows: dict[int, Rate] = {}
    for each in limits:
        other = windows.setdefault(each.window, each)
        if other is not each:
            msg = f"{other} and {each} have the same window; write the smaller one"
            raise ValueError(msg)
    return limits


class BudgetSettings(BaseModel):
    """How often one third-party host may be called by everything together, ``[[budgets]]``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: Annotated[str, AfterValidator(_check_host)]
    """``api.example.com``, whatever the port; or ``api.example.com:8443``, which goes first for that port."""
    limits: Annotated[list[RateSetting], Field(min_length=1), AfterValidator(_check_limits)]
    """All hold: ``["50/30s", "1000/1d"]`` is never more than 50 calls in any 30 seconds, and 1,000 in any day."""
    poll_share: Annotated[float, Field(ge=0, le=1)] = POLL_SHARE
    """Share of each limit that is kept for asking after tasks as far as it is used for that, and the most that is taken
    for it; 0: polls are calls like others."""
