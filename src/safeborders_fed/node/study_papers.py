"""What a node's people have signed about a study: yes, no, and a yes taken back.

Guarantees: each paper is a person's own, and is kept as a whole or not at all. The no that stands is kept
apart from the boxes, once the service has seen it.

Where the node's roles are set (``node.roles``), approvers leave their papers in ``approvals``,
``refusals`` and ``withdrawals`` as users of their own, who cannot write anywhere else in here nor touch each
other's papers. So these three are read with distrust (``node.boxes``), and a no in there counts only if its
signature holds.
"""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Collection
from pathlib import Path
from typing import Final

from safeborders_fed.errors import RefusedError, SafeBordersError
from safeborders_fed.node.approvals import Approval, Approver
from safeborders_fed.node.boxes import papers, require_room
from safeborders_fed.node.refusals import StudyRefusal
from safeborders_fed.node.study_directory import StudyDirectory, changed, read, unwritable, write
from safeborders_fed.node.taking_back import ApprovalWithdrawal
from safeborders_fed.study import durable

LOG: Final = logging.getLogger(__name__)
APPROVALS: Final = "approvals"
REFUSALS: Final = "refusals"
WITHDRAWALS: Final = "withdrawals"
_REFUSAL: Final = "refusal.json"


class StudyPapers(StudyDirectory):
    """The papers of a node's people."""

    def open_boxes(self, study: str) -> None:
        """Makes the places where people leave what they sign.

        Raises:
            ConfigurationError: ``node-unwritable``.
        """
        for name in (APPROVALS, REFUSALS, WITHDRAWALS):
            box = self.directory(study) / name
            try:
                durable.make_box(box)
            except OSError as error:
                raise unwritable(box, error) from error

    def approvals(self, study: str) -> tuple[Approval, ...]:
        """What people have signed, without what is damaged; what counts is for ``require_approvals``."""
        found = []
        for path, data in papers(self.directory(study) / APPROVALS):
            try:
                found.append(Approval.from_bytes(data))
            except SafeBordersError as error:
                LOG.warning("approval %s of study %s is passed over: %s", path.name, study, error)
        return tuple(found)

    def add_approval(self, study: str, approval: Approval) -> Path:
        """Keeps a person's approval, in place of an earlier one of theirs.

        Raises:
            ConfigurationError: ``node-unwritable``.
        """
        return self._leave(study, APPROVALS, approval.approver, approval.to_bytes())

    def _leave(self, study: str, box: str, key: str, content: bytes) -> Path:
        """Leaves a person's paper; under another name if somebody else has taken the one that is theirs."""
        path = self.directory(study) / box / f"{key[:16]}.json"
        try:
            if not path.parent.is_dir():
                self.open_boxes(study)
            try:
                durable.replace(path, content, shared=True)
            except PermissionError:
                if not path.is_symlink() and not path.exists():
                    raise
                path = path.with_name(f"{key[:16]}-{secrets.token_hex(8)}.json")
                durable.replace(path, content, shared=True)
        except OSError as error:
            raise unwritable(path, error) from error
        return path

    def refusal(self, study: str) -> StudyRefusal | None:
        """The no that stands against it, if there is one; its signature was checked when it came here.

        Raises:
            PeerError: ``not-canonical`` or ``bad-refusal``.
        """
        path = self.directory(study) / _REFUSAL
        return StudyRefusal.from_bytes(read(path)) if path.exists() else None

    def left_refusals(self, study: str, people: Collection[Approver]) -> tuple[StudyRefusal, ...]:
        """What people left against it, the earliest first: without what no approver of the list has signed.

        A key that was revoked since counts: who could say no may have said it before.

        Raises:
            ConfigurationError: ``box-overfull``.
        """
        found, box = [], self.directory(study) / REFUSALS
        require_room(box)
        for path, data in papers(box):
            try:
                refusal = StudyRefusal.from_bytes(data)
                refusal.check([person.model_copy(update={"revoked": None}) for person in people])
                if refusal.study != study:
                    raise changed(study)
            except SafeBordersError as error:
                LOG.warning("refusal %s of study %s is passed over: %s", path.name, study, error)
            else:
                found.append(refusal)
        return tuple(sorted(found, key=lambda refusal: (refusal.signed_at, refusal.approver)))

    def keep_refusal(self, refusal: StudyRefusal) -> None:
        """Keeps a refusal that somebody left as the one that stands, whatever becomes of the paper.

        Raises:
            ConfigurationError: ``node-unwritable``.
        """
        path = self.directory(refusal.study) / _REFUSAL
        if not path.exists():
            write(path, refusal.to_bytes(), shared=True)

    def add_refusal(self, refusal: StudyRefusal) -> Path:
        """Keeps a person's refusal; the first one stands. Who may not keep it leaves it for the service.

        Raises:
            RefusedError: ``refused-already``.
            ConfigurationError: ``node-unwritable``.
        """
        path = self.directory(refusal.study) / _REFUSAL
        if path.exists():
            raise RefusedError(
                "refused-already", f"study {refusal.study!r} is refused here already", "nothing is left to do"
            )
        if path.parent.is_dir() and not os.access(path.parent, os.W_OK):
            return self._leave(refusal.study, REFUSALS, refusal.approver, refusal.to_bytes())
        write(path, refusal.to_bytes(), shared=True)
        return path

    def withdrawals(self, study: str) -> tuple[ApprovalWithdrawal, ...]:
        """The approvals that people have taken back, without what the key that approved has not signed.

        Raises:
            ConfigurationError: ``box-overfull``.
        """
        found, box = [], self.directory(study) / WITHDRAWALS
        require_room(box)
        for path, data in papers(box):
            try:
                withdrawal = ApprovalWithdrawal.from_bytes(data)
                withdrawal.check()
                if withdrawal.study != study:
                    raise changed(study)
            except SafeBordersError as error:
                LOG.warning("withdrawal %s of study %s is passed over: %s", path.name, study, error)
            else:
                found.append(withdrawal)
        return tuple(found)

    def add_withdrawal(self, withdrawal: ApprovalWithdrawal) -> Path:
        """Keeps that a person takes their approval back, in place of an earlier time.

        Raises:
            ConfigurationError: ``node-unwritable``.
        """
        return self._leave(withdrawal.study, WITHDRAWALS, withdrawal.approver, withdrawal.to_bytes())
