"""Models at a node: accepted from the coordinator's operators, verified again before each use.

Layout, in the node's home directory::

    models/NAME-VERSION.safetensors
    models/NAME-VERSION.release.json
    models/SHA256.withdrawal.json

Guarantees: a model is kept and used only if the operators whose keys this node pinned signed the release of
exactly its bytes; each use checks signatures, bytes, data contract and kind once more, under the keys pinned
at that moment. A withdrawal that one pinned operator signed ends the use of the model for good, also when it
comes before the model. One version stands for one file. A model and its release count only together, and the
model comes last: a crash between them leaves nothing that is used, and nothing that is in the way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from safeborders_fed.errors import ConfigurationError, PeerError, RefusedError, SafeBordersError, UsageError
from safeborders_fed.study import canonical, durable, model_file, model_statement
from safeborders_fed.study.model_file import SUFFIX, Model, ModelId
from safeborders_fed.study.model_statement import LARGEST_STATEMENT, Action, SignedStatement

DIRECTORY: Final = "models"
_RELEASE: Final = ".release.json"
_WITHDRAWAL: Final = ".withdrawal.json"


@dataclass(frozen=True)
class Accepted:
    """What a file brought.

    Attributes:
        action: ``release`` or ``withdrawal``.
        id: The model that it is about.
        sha256: SHA-256 of the model file.
        reason: What the operators say of it.
    """

    action: Action
    id: ModelId
    sha256: str
    reason: str


@dataclass(frozen=True)
class Known:
    """A model kept here.

    Attributes:
        model: The model, verified.
        release: The statement under which it was accepted.
        withdrawal: Why it must no longer be used; None if it may.
    """

    model: Model
    release: SignedStatement
    withdrawal: str | None


@dataclass(frozen=True)
class Unusable:
    """A model kept here that does not verify.

    Attributes:
        id: As its file name says.
        error: What is wrong with it.
    """

    id: ModelId
    error: SafeBordersError

    @property
    def damaged(self) -> bool:
        """Whether its files are not as they were handed out; if not, it is only not for this node now."""
        return isinstance(self.error, PeerError) and self.error.code != "wrong-operator"


class NodeModels:
    """The models of one node.

    Args:
        home: The node's directory.
        operators: Public keys of operators that it has pinned.
        needed: How many of them must have signed a release.

    Raises:
        ConfigurationError: ``no-operator-key``, or ``operator-signatures`` when more signatures are asked
            for than keys are pinned.
    """

    def __init__(self, home: Path, operators: tuple[str, ...], needed: int) -> None:
        if not operators:
            raise ConfigurationError(
                "no-operator-key",
                "node.toml pins no key of the coordinator's operators, so no model can be trusted",
                "compare the key with the operator in person or by telephone, then set operator_keys",
            )
        if needed > len(set(operators)):
            raise ConfigurationError(
                "operator-signatures",
                f"node.toml asks for {needed} operators' signatures and pins {len(set(operators))} keys",
                "pin more keys in operator_keys, or lower operator_signatures",
            )
        self._directory = Path(home) / DIRECTORY
        self._operators, self._needed = operators, needed

    def accept(self, path: Path, record: Callable[[Accepted], object] | None = None) -> Accepted:
        """Verifies and keeps a model file, whose release stands beside it, or a withdrawal.

        The same file again changes nothing; a kept file that was damaged is replaced.

        Args:
            path: ``NAME-VERSION.safetensors``, with ``NAME-VERSION.release.json`` in the same directory; or
                that statement; or ``NAME-VERSION.withdrawal.json``.
            record: Called after all is verified and before anything is kept; if it raises, nothing is kept.

        Raises:
            UsageError: ``not-a-model-file``, by its name.
            ConfigurationError: ``model-missing``, ``release-missing``, ``node-unwritable``.
            PeerError: ``bad-statement``, ``bad-signature``, ``wrong-operator``, ``model-altered``, or as
                ``model_file.read``.
            RefusedError: ``model-withdrawn``, ``model-conflict``, or as ``model_file.read``.
        """
        path = Path(path)
        if path.name.endswith(_WITHDRAWAL):
            data = model_file.read_bounded(path, LARGEST_STATEMENT)
            signed = self._checked(data, "withdrawal", needed=1)
            return self._keep(signed, {f"{signed.statement.sha256}{_WITHDRAWAL}": data}, record)
        if path.name.endswith(_RELEASE):
            path = path.with_name(path.name.removesuffix(_RELEASE) + SUFFIX)
        if not path.name.endswith(SUFFIX):
            raise UsageError(
                "not-a-model-file",
                f"the name of {path} says neither model nor withdrawal",
                f"give a file that ends in {SUFFIX}, {_RELEASE} or {_WITHDRAWAL}, named as it was handed out",
            )
        signed, files = self._released(path)
        return self._keep(signed, files, record)

    def _released(self, path: Path) -> tuple[SignedStatement, dict[str, bytes]]:
        """The release of a model file, and the files to keep of it by name, the model last."""
        beside = path.with_name(path.name.removesuffix(SUFFIX) + _RELEASE)
        data = model_file.read_bounded(path, model_file.LARGEST)
        if not _exists(beside):
            raise ConfigurationError(
                "release-missing",
                f"{beside} is not there: a model is accepted only together with its release",
                "copy both files into one directory, named as they were handed out",
            )
        statement = model_file.read_bounded(beside, LARGEST_STATEMENT)
        known = self._verified(data, statement)
        head = known.model.head
        if known.withdrawal is not None:
            raise _withdrawn(known)
        if self._intact_hash(head.id) not in {None, known.model.sha256}:
            raise RefusedError(
                "model-conflict",
                f"another file is known here as model {head.id}: the operators have released two",
                "ask the coordinator's operators which one is meant; a new model needs a new version",
            )
        return known.release, {f"{head.id}{_RELEASE}": statement, f"{head.id}{SUFFIX}": data}

    def _keep(
        self,
        signed: SignedStatement,
        files: dict[str, bytes],
        record: Callable[[Accepted], object] | None,
    ) -> Accepted:
        said = signed.statement
        accepted = Accepted(said.action, said.id, said.sha256, said.reason)
        if record is not None:
            record(accepted)
        for name, content in files.items():
            self._write(name, content)
        return accepted

    def _intact_hash(self, wanted: ModelId) -> str | None:
        """SHA-256 of the kept model of this version; None if there is none that its kept release is of."""
        if wanted not in self._ids():
            return None
        data = model_file.read_bounded(self._directory / f"{wanted}{SUFFIX}", model_file.LARGEST)
        statement = model_file.read_bounded(self._directory / f"{wanted}{_RELEASE}", LARGEST_STATEMENT)
        try:
            said = self._checked(statement, "release", needed=self._needed).statement
        except PeerError:
            return None
        found = canonical.sha256(data)
        return found if found == said.sha256 and said.id == wanted else None

    def _ids(self) -> list[ModelId]:
        """The models kept here whose release is kept too."""
        return [
            entry
            for entry in model_file.ids_in(self._directory)
            if _exists(self._directory / f"{entry}{_RELEASE}")
        ]

    def known(self) -> tuple[Known | Unusable, ...]:
        """All models kept here with their releases, by name and version, each verified by itself."""
        return tuple(self._found(entry) for entry in self._ids())

    def _found(self, wanted: ModelId) -> Known | Unusable:
        try:
            return self._load(wanted)
        except SafeBordersError as error:
            return Unusable(wanted, error)

    def for_use(self, wanted: str | None) -> Known:
        """The model to score with.

        Args:
            wanted: ``NAME-VERSION``, or ``NAME`` for its latest version; None where only one name is known.

        Raises:
            UsageError: ``no-model``, ``unknown-model`` or ``which-model``.
            RefusedError: ``model-withdrawn``. An earlier version takes over only when it is asked for.
            PeerError, ConfigurationError: As ``accept``, when a file was altered or a key is unpinned.
        """
        ids = self._ids()
        names = sorted({entry.name for entry in ids})
        if not ids:
            raise UsageError(
                "no-model", "this node has accepted no model", "see `safeborders node model accept`"
            )
        if wanted is None and len(names) > 1:
            raise UsageError(
                "which-model", f"this node knows the models {', '.join(names)}", "choose one with --model"
            )
        name = names[0] if wanted is None else wanted
        named = [entry for entry in ids if entry.name == name]
        chosen = named[-1] if named else next((entry for entry in ids if str(entry) == name), None)
        if chosen is None:
            raise UsageError(
                "unknown-model",
                f"this node knows no model {name!r}",
                "choose one that `safeborders node model list` shows",
            )
        found = self._load(chosen)
        if found.withdrawal is not None:
            raise _withdrawn(found)
        return found

    def _load(self, wanted: ModelId) -> Known:
        data = model_file.read_bounded(self._directory / f"{wanted}{SUFFIX}", model_file.LARGEST)
        statement = self._directory / f"{wanted}{_RELEASE}"
        return self._verified(data, model_file.read_bounded(statement, LARGEST_STATEMENT))

    def _verified(self, data: bytes, statement: bytes) -> Known:
        """A model under its release. Signature and hash come first: nothing unsigned is parsed further."""
        signed = self._checked(statement, "release", needed=self._needed)
        said = signed.statement
        if canonical.sha256(data) != said.sha256:
            raise PeerError(
                "model-altered",
                f"the bytes of this file are not those that were released as model {said.id}",
                "ask the coordinator's operator for the file again, and accept it again if it was kept here",
            )
        model = model_file.read(data)
        if model.head.id != said.id:
            raise PeerError(
                "model-altered",
                f"the file says that it is model {model.head.id}, its release calls it {said.id}",
                "do not use it; tell the coordinator's operator",
            )
        return Known(model, signed, self._withdrawal(model.sha256))

    def _checked(self, data: bytes, action: Action, *, needed: int) -> SignedStatement:
        signed = model_statement.parse(data)
        signed.check(self._operators, needed)
        if signed.statement.action != action:
            raise PeerError(
                "bad-statement",
                f"this statement is a {signed.statement.action}, not a {action}",
                "give the files as they were handed out, without renaming them",
            )
        return signed

    def _withdrawal(self, sha256: str) -> str | None:
        path = self._directory / f"{sha256}{_WITHDRAWAL}"
        if not _exists(path):
            return None
        # It was verified when it came; should its signer be unpinned since, it still holds.
        data = model_file.read_bounded(path, LARGEST_STATEMENT)
        return model_statement.parse(data).statement.reason

    def _write(self, name: str, content: bytes) -> None:
        try:
            durable.make_directories(self._directory, shared=True)
            durable.replace(self._directory / name, content, shared=True)
        except OSError as error:
            raise ConfigurationError(
                "node-unwritable",
                f"{self._directory} cannot be written to: {error.strerror}",
                "free space on the disk, or mend the rights of the node's directory",
            ) from error


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:
        raise ConfigurationError(
            "model-missing",
            f"{path} cannot be read: {error.strerror}",
            "check the path, and the rights of its directory",
        ) from error


def _withdrawn(known: Known) -> RefusedError:
    return RefusedError(
        "model-withdrawn",
        f"model {known.model.head.id} is withdrawn: {known.withdrawal}",
        "use another model or version; with none, score nothing",
    )
