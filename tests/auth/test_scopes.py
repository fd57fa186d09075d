import pytest

from signalbox.auth.errors import UnknownScopeError
from signalbox.auth.scopes import MANAGER, SCOPES, USER, check_scopes, grants

READS = {
    "statistics:read",
    "tasks:read",
    "notifications:read",
    "criticality:read",
    "grid:read",
    "conversations:read",
    "jobs:read",
}
OTHERS = {"gateway", "tasks:write", "assistance", "criticality:write", "grid:write", "jobs:write"}


def test_the_scopes_are_these() -> None:
    assert set(SCOPES) == READS | OTHERS | {USER, MANAGER}


@pytest.mark.parametrize("needed", sorted(SCOPES))
def test_who_may_do_what(needed: str) -> None:
    for held in SCOPES:
        expected = held in (needed, MANAGER) or (held == USER and needed in READS)
        assert grants(frozenset({held}), needed) is expected, (held, needed)
    assert not grants(frozenset(), needed)


def test_an_unknown_scope_is_refused_naming_those_there_are() -> None:
    assert check_scopes(["gateway", "gateway"]) == {"gateway"}
    with pytest.raises(UnknownScopeError, match=r"'Gateway', 'tasks'.*statistics:read.*manager"):
        check_scopes(["tasks", "Gateway", "gateway"])
