"""Links in a backup, after a restore, and under new keys of the store."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from safeborders_fed.errors import ConfigurationError, RefusedError
from safeborders_fed.node import key_source
from safeborders_fed.node.backup import back_up
from safeborders_fed.node.creating import create_node
from safeborders_fed.node.link_book import FILE, Asked, LinkBook, Terms
from safeborders_fed.node.link_vault import LinkVault
from safeborders_fed.node.rekeying import rekey
from safeborders_fed.node.restoring import restore
from safeborders_fed.node.settings import NodeSettings

TERMS = Terms(monthly=1000, first_load=1000, at_once=4)


@pytest.fixture
def node(tmp_path: Path) -> NodeSettings:
    settings = create_node(tmp_path / "bg", "BG", tmp_path / "bg.key", 1000)
    vault = LinkVault(settings.home, settings.store_keys())
    vault.save("epoch-2026", b"the secrets of an epoch")
    with closing(open_book(settings.home)) as book:
        charge(book, 0)
    return settings


def open_book(home: Path) -> LinkBook:
    return LinkBook(home / FILE, lambda _: bytes(64))


def charge(book: LinkBook, number: int, month: str | None = None) -> None:
    now = f"{book._clock():%Y-%m}"
    facts = {"batch": "b", "total": 100, "expires": "2999-01-01T00:00:00+00:00", "number": number}
    ask = Asked(
        requester="RO",
        kind="phone",
        epoch=now[:4],
        month=month or now,
        hash=f"h{number}",
        count=5,
        **facts,  # type: ignore[arg-type]
    )
    book.charge(ask, TERMS, b"points", b"answer", {"requester": "RO"})


def test_a_restored_book_gives_nobody_points_for_free(node: NodeSettings, tmp_path: Path) -> None:
    with closing(open_book(node.home)) as book:  # the service may have it open
        back_up(node, tmp_path / "backup.tar", "Ana")
        charge(book, 1)
    restore(tmp_path / "backup.tar", tmp_path / "bg2", "Ana")
    with closing(open_book(tmp_path / "bg2")) as book:
        assert book.first_load("RO", "phone", f"{book._clock():%Y}") == 5
        with pytest.raises(RefusedError, match="link-quota"):
            charge(book, 1)
        charge(book, 1, month="2999-01")
    vault = LinkVault(tmp_path / "bg2", node.store_keys())
    assert vault.load("epoch-2026") == b"the secrets of an epoch"
    assert not list(tmp_path.glob(".*part*")), "a copy was left beside the backup"


def test_new_keys_of_the_store_seal_the_secrets_of_links_anew(node: NodeSettings) -> None:
    old = key_source.load(node, node.key_path)
    digest = LinkVault(node.home, old).digest("phone", "+359")
    sealed = LinkVault(node.home, old).path("epoch-2026").read_bytes()
    rekey(node, by="Ana", why="yearly")
    new = LinkVault(node.home, node.store_keys())
    assert new.load("epoch-2026") == b"the secrets of an epoch"
    assert new.digest("phone", "+359") == digest
    assert new.path("epoch-2026").read_bytes() != sealed
    with pytest.raises(ConfigurationError, match="wrong-key"):
        LinkVault(node.home, old).load("epoch-2026")


def test_what_is_sealed_is_for_its_place_only(node: NodeSettings) -> None:
    vault = LinkVault(node.home, node.store_keys())
    vault.path("epoch-2027").write_bytes(vault.path("epoch-2026").read_bytes())
    with pytest.raises(ConfigurationError, match="wrong-key"):
        vault.load("epoch-2027")
    vault.path("epoch-2028").write_bytes(b"short")
    with pytest.raises(ConfigurationError, match="wrong-key"):
        vault.load("epoch-2028")
    assert vault.load("epoch-2029") is None
    with pytest.raises(FileExistsError):
        vault.save("epoch-2026", b"other")
