import getpass
import io
import os
import pty
import subprocess
import sys

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
