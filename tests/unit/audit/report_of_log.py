"""A year of an audit log, for tests of its exports."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from audit_samples import KEY
from safeborders_fed.audit.anchors import lay
from safeborders_fed.audit.chain import Operation
from safeborders_fed.audit.log import AuditLog

BEGIN = datetime(2026, 1, 5, 9, tzinfo=UTC)
FORMULA = '=HYPERLINK("http://evil.example","x")'
MARKUP = "<script>alert(1)</script>"


def year_of_log(path: Path, *, studies: int = 4) -> None:
    """A node's usual year: quarterly studies, imports, scores, verdicts, and a few odd things."""
    time = [BEGIN]
    with AuditLog(path, KEY, "PL", lambda: time[0]) as log:
        for month in range(12):
            time[0] = BEGIN + timedelta(days=30 * month)
            log.append(Operation.START, who="service safeborders", why="started")
            log.append(Operation.IMPORT, who="Jan Nowak", why="monthly file", details={"rows": 900})
            for _ in range(5):
                log.append(Operation.SCORE, who="Anna Lis", why="referrals of the week")
            log.append(Operation.REVIEW, who="Anna Lis", why="verdicts", details={"verdicts": 12})
            log.append(Operation.VIEW, who="Jan Nowak", why="a question of the prosecutor")
            if month % 3 == 0 and month // 3 < studies:
                _study(log, f"tables-2026-q{month // 3 + 1}", rounds=4)
        for number in range(studies - 4):
            _study(log, f"extra-{number}", rounds=1)
        log.append(Operation.REFUSE, who=FORMULA, why=MARKUP, details={"study": "too-dear"})
        log.append(Operation.KEY_CHANGE, who="Anna Lis", why="a renewed key of FI was accepted")
        log.append(Operation.ERASE, who="Jan Nowak", why="at the request of the person", details={"case": 1})
        log.append(Operation.EXPORT, who="user ana", why="backup", details={"file": "be.tar"})


def _study(log: AuditLog, study: str, rounds: int) -> None:
    log.append(Operation.APPROVE, who="Anna Lis, Jan Nowak", why="yearly report", details={"study": study})
    lay(log, study)
    for number in range(rounds):
        details = {"study": study, "round": number, "rho": 0.002}
        log.append(Operation.CONTRIBUTE, who="PL", why=f"study {study}", details=details)
    log.append(Operation.STUDY_END, who="PL", why="the study has ended", details={"study": study})
