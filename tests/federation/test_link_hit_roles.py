"""Hits on a machine of many users: approvers see them and leave papers, nobody else does."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from users_site import (
    ANALYST,
    ANNA,
    APPROVERS,
    AUDITOR,
    BORIS,
    OPERATOR,
    OUTSIDER,
    SERVICE,
    Site,
    groups,
    node_of_many_users,
)

HIT = "ab" * 32
SHOW = """
def watched(call):
    def run(path, *args, **options):
        mode = options.get("mode", args[0] if args else 0)
        if isinstance(mode, int) and mode & 0o6000:
            raise AssertionError(f"{path} {mode:o}")
        return call(path, *args, **options)
    return run
os.mkdir, os.chmod, os.fchmod = watched(os.mkdir), watched(os.chmod), watched(os.fchmod)
from safeborders_fed.node.hit_papers import HitPapers
view = dict.fromkeys(("state", "type", "strength"), "x") | {"hit": hit, "partner": "BG", "cases": []}
HitPapers(Path(home)).show({hit: view | {"opened": None, "due": None, "overdue": False, "alarm": False}})
"""
LOOK = """
from safeborders_fed.node.hit_papers import HitPaper, HitPapers
(view,) = HitPapers(Path(home)).views()
HitPapers(Path(home)).leave(HitPaper(hit=view["hit"], act="view"))
"""
TAKE = """
from safeborders_fed.node.hit_papers import HitPapers
for path, paper, user in HitPapers(Path(home)).left():
    print(user)
    path.unlink()
"""


@pytest.fixture
def site() -> Iterator[Site]:
    with node_of_many_users() as made:
        assert made.tried(SERVICE, SHOW, hit=HIT) == ""
        yield made


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_rights_are_those_of_the_table(site: Site) -> None:
    hits = site.home / "hits"
    assert (mode(hits), mode(hits / f"{HIT}.json")) == (0o2750, 0o640)
    assert mode(hits / "papers") & 0o1777 == 0o1770
    assert {path.stat().st_gid for path in (hits, *hits.iterdir())} == {APPROVERS}
    assert "rights" not in [line.split()[1] for line in site.rights().splitlines() if line.startswith("bad")]


def test_approvers_look_and_leave_papers_and_others_do_not(site: Site) -> None:
    assert site.tried(ANNA, LOOK) == ""
    for user in (AUDITOR, ANALYST, OUTSIDER):
        assert site.tried(user, LOOK) != ""
        assert site.tried(user, "list(Path(home, 'hits').iterdir())") == "PermissionError"
    (left,) = (site.home / "hits" / "papers").glob("*.json")
    assert left.stat().st_uid == ANNA.number
    assert (
        site.tried(BORIS, "next(Path(home, 'hits', 'papers').glob('*.json')).unlink()") == "PermissionError"
    )
    assert site.tried(ANNA, "next(Path(home, 'hits').glob('*.json')).unlink()") == "PermissionError"
    done = site.machine.do(SERVICE, TAKE, home=site.home)
    assert (done.status, done.out.split()) == (0, [str(ANNA.number)])


def test_commands_name_the_role_that_is_missing(site: Site) -> None:
    listed = site.node(ANNA, "links", "hits", "--json")
    assert (listed.status, listed.json()["hits"][0]["hit"]) == (0, HIT)
    done = site.node(ANALYST, "links", "hits")
    assert (done.status, "role-missing" in done.err) == (5, True)


def test_a_directory_that_the_service_makes_later_is_closed_until_roles_are_set_again(site: Site) -> None:
    shutil.rmtree(site.home / "hits")
    assert site.tried(SERVICE, SHOW, hit=HIT) == ""
    assert mode(site.home / "hits") & 0o777 == 0o700
    assert site.tried(ANNA, LOOK) != ""
    assert site.node(OPERATOR, "roles", "set", *groups(), "--by", "IT").status == 0
    assert site.tried(ANNA, LOOK) == ""
    assert site.tried(ANALYST, LOOK) != ""
