import getpass
import io
import os
import pty
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone

import pytest

from signalbox.auth import terminal

ASK = "from signalbox.auth import terminal; print('got', terminal.ask_password(from_stdin=False))"


def converse(*lines: str) -> tuple[str, str]:
    """What the question shows on the terminal, and what it answers on stdout, when these lines are typed."""
    ours, theirs = pty.openpty()
    asking = subprocess.Popen(
        [sys.executable, "-c", ASK], stdin=theirs, stdout=subprocess.PIPE, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    shown = b""
    for line in lines:
        while not shown.endswith(b": "):
            shown += os.read(ours, 1024)
        os.write(ours, line.encode() + b"\n")
        shown += b"\n"
    answer, _ = asking.communicate(timeout=30)
    os.close(ours)
    return shown.decode(), answer.decode().strip()


def test_a_person_types_the_password_twice_and_sees_nothing_of_it() -> None:
    shown, answer = converse("correct horse", "wrong horse", "correct horse", "correct horse")
    assert answer == "got correct horse"
    assert "horse" not in shown


def test_a_piped_password_is_the_first_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(" correct horse \r\nmore\n"))
    assert terminal.ask_password(from_stdin=True) == " correct horse "
    with pytest.raises(terminal.NoPasswordError, match="--password-stdin"):
        terminal.ask_password(from_stdin=False)


def test_the_actor_has_a_name_where_the_system_knows_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "anna")
    assert terminal.actor() == "cli:anna"

    def unknown() -> str:
        raise KeyError

    monkeypatch.setattr(getpass, "getuser", unknown)
    assert terminal.actor() == "cli"


def test_a_listing_is_never_narrower_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.print_listing(terminal.Listing(["A", "B"], [("x" * 90, "y" * 90)], "hint"))
    assert "x" * 90 in capsys.readouterr().out


def test_pairs_are_read() -> None:
    assert terminal.to_pairs(None) == {}
    assert terminal.to_pairs(["region=eu", "link=a=b", "empty="]) == {"region": "eu", "link": "a=b", "empty": ""}


@pytest.mark.parametrize("pair", ["region", "=eu", ""])
def test_what_is_no_pair_is_refused(pair: str) -> None:
    with pytest.raises(terminal.InvalidPairError):
        terminal.to_pairs([pair])


def test_moments_without_a_zone_are_utc() -> None:
    berlin = datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))
    assert terminal.to_moment(datetime(2026, 1, 1)) == terminal.to_moment(berlin) == 1_767_225_600_000_000  # noqa: DTZ001
    assert terminal.to_moment(None) is None


def test_what_tables_show() -> None:
    assert terminal.show_minute(datetime(2026, 1, 1, tzinfo=UTC)) == "2026-01-01 00:00 UTC"
    assert terminal.show_second(datetime(2026, 1, 1, tzinfo=UTC)) == "2026-01-01 00:00:00 UTC"
    assert terminal.show_minute(None) == terminal.show_second(None) == ""
    assert (terminal.show_milliseconds(0.0125), terminal.show_milliseconds(None)) == ("12.5 ms", "-")
