from signalbox.conversations.schemas import FileReport, Report, summarize


def test_a_report_adds_up_over_files() -> None:
    files: list[FileReport] = [
        {"file": name, "read": 3, "linked": 1, "unlinked": 1, "rejected": 1, "reasons": {}} for name in ("a", "b")
    ]
    report: Report = {"files": files, "notes": []}
    assert summarize(report) == {"read": 6, "linked": 2, "unlinked": 2, "rejected": 2}
