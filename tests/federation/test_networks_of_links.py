"""Networks at nodes and across states, from real exchanges: who joins, what is counted, what is on record."""

import json
from pathlib import Path

import pytest

from link_federation import LinkFederation, LinkNode, federation
from safeborders_fed.audit.chain import Operation
from safeborders_fed.errors import ConfigurationError, UsageError
from safeborders_fed.links import network_files, network_letters, stop_list
from safeborders_fed.links.network_sizes import Standing
from safeborders_fed.links.own_files import leads, linked, own_files
from safeborders_fed.node.hit_papers import HitPaper, HitPapers, subject_hash

BOTH = "+359 88 1234567"
OTHER = "someone@example.org"


@pytest.fixture
def chain(tmp_path: Path) -> LinkFederation:
    """BE and BG share a telephone, BG and FI an address; one case of BG holds both."""
    made = federation(tmp_path, "BE", "BG", "FI")
    made["BE"].add({"phone": BOTH}, {"phone": "+32 471 000111"}, {"phone": BOTH})
    made["BG"].add({"phone": "088 1234567", "email": OTHER}, {"phone": "088 7654321"})
    made["FI"].add({"email": OTHER.upper()})
    made.offer_all()
    made.exchange()
    return made


def say(node: LinkNode, word: str, partner: str | None = None) -> None:
    """One prosecutor says what came of each hit with a partner."""
    for row in node.hits():
        if partner in (None, row.partner):
            approval = node.approvals(subject_hash(row.id, "outcome", word), "link-hit")[0]
            HitPapers(node.office.home).leave(
                HitPaper(hit=row.id, act="outcome", word=word, approval=approval)
            )


def exchanged(made: LinkFederation) -> LinkFederation:
    for node in made.nodes.values():
        node.approve_hits()
    made.exchange(letters_only=True)
    return made


def confirmed(made: LinkFederation) -> LinkFederation:
    for node in exchanged(made).nodes.values():
        say(node, "confirmed")
    made.exchange(letters_only=True)
    return made


def standings(made: LinkFederation) -> dict[str, list[Standing]]:
    found = {}
    for name, node in made.nodes.items():
        files = own_files(node.office)
        across = network_letters.across(node.office, files, files.networks(leads(node.office)))
        found[name] = [each for known in across.values() for each in known]
    return found


def test_a_hit_joins_nothing_before_people_of_both_states_have_approved(chain: LinkFederation) -> None:
    office = chain["BG"].office
    assert len(chain["BG"].hits()) == 2
    assert leads(office) == []
    assert own_files(office).networks(leads(office)) == ()
    exchanged(chain)
    (found,) = own_files(office).networks(leads(office))
    assert found.partners == ("BE", "FI")
    assert len(found.of("case")) == 1
    assert len(found.of("foreign")) == 3  # by their records: two cases of BE and one of FI


def test_own_cases_are_joined_by_the_identifier_of_a_hit(chain: LinkFederation) -> None:
    office = exchanged(chain)["BE"].office
    (found,) = own_files(office).networks(leads(office))
    assert len(found.of("case")) == 2
    assert found.held_by is not None
    assert found.held_by.of == "phone"


def test_labels_reach_the_ends_of_a_chain_and_say_nothing_before_hits_are_confirmed(
    chain: LinkFederation,
) -> None:
    exchanged(chain)
    chain.exchange(letters_only=True)
    assert set(map(len, standings(chain).values())) == {0}
    for node in chain.nodes.values():
        say(node, "confirmed")
    for _ in range(4):
        chain.exchange(letters_only=True)
    found = standings(chain)
    assert all(len(each) == 1 for each in found.values())
    assert len({known[0] for known in found.values()}) == 1
    assert found["FI"][0].size == "4-10"  # BG sees one case of its own, two of BE and one of FI


def test_a_label_is_sent_again_only_when_it_says_something_new(chain: LinkFederation) -> None:
    confirmed(chain)
    for _ in range(4):
        chain.exchange(letters_only=True)

    def put_out(node: LinkNode) -> int:
        query = "SELECT count(*) FROM letter_out WHERE kind = 'label'"
        return int(node.office.hits.db.execute(query).fetchone()[0])

    before = [put_out(node) for node in chain.nodes.values()]
    assert all(before)
    chain.exchange(letters_only=True)
    assert [put_out(node) for node in chain.nodes.values()] == before


def test_a_hit_that_one_state_refutes_carries_no_label(chain: LinkFederation) -> None:
    for node in exchanged(chain).nodes.values():
        say(node, "refuted" if node.name == "FI" else "confirmed")
    for _ in range(3):
        chain.exchange(letters_only=True)
    found = standings(chain)
    assert found["FI"] == []
    assert found["BE"] == found["BG"]
    assert found["BG"][0].size == "2-3"


def test_linked_are_the_victims_of_cases_whose_hit_was_exchanged(chain: LinkFederation) -> None:
    office = chain["BG"].office
    assert linked(office) == {}
    found = linked(exchanged(chain)["BG"].office)
    (known,) = found.values()
    assert known.partners == {"BE", "FI"}
    assert known.kinds == {"phone", "email"}
    assert len(linked(chain["BE"].office)) == 2
    assert chain["BG"].participant._links is not None
    assert chain["BG"].participant._links.linked() == found


def test_what_is_on_the_stop_list_joins_nothing(chain: LinkFederation) -> None:
    office = exchanged(chain)["BE"].office
    entries = stop_list.entries_of("phone", BOTH, "hotline", state="BE")
    stop_list.add(office, entries, who="Eva", why="hotline")
    assert own_files(office).networks(leads(office)) == ()


def test_an_empty_store_has_no_networks(tmp_path: Path) -> None:
    office = federation(tmp_path, "BE", "BG")["BE"].office
    assert own_files(office).networks(leads(office)) == ()
    assert linked(office) == {}


def test_looking_and_writing_are_on_record_and_files_hold_no_identifier(
    chain: LinkFederation, tmp_path: Path
) -> None:
    node = confirmed(chain)["BG"]
    found = network_files.look(node.office, by="Eva")
    out = tmp_path / "out"
    written = network_files.write(node.office, found, out, graphml=True, by="Eva")
    assert sorted(path.name for path in written) == ["networks.graphml", "networks.html"]
    for path in written:
        assert path.stat().st_mode & 0o777 == 0o600
        text = path.read_text(encoding="utf-8")
        for value in ("1234567", "someone", "example.org", "person-", "case-0"):
            assert value not in text
    entries = [(entry.operation, entry.who) for entry in node.log()]
    assert entries.count((Operation.VIEW, "Eva")) == 1
    assert entries.count((Operation.EXPORT, "Eva")) == 2
    with pytest.raises(UsageError) as refused:
        network_files.write(node.office, found, out, graphml=False, by="Eva")
    assert refused.value.code == "out-exists"
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(ConfigurationError) as unwritable:
        network_files.write(node.office, found, blocked / "below", graphml=False, by="Eva")
    assert unwritable.value.code == "out-unwritable"


def test_a_label_that_cannot_be_read_is_as_if_it_had_not_come(chain: LinkFederation) -> None:
    office = confirmed(chain)["BG"].office
    chain.exchange(letters_only=True)
    assert network_letters.heard(office)
    broken = json.dumps({"label": {"label": "x", "size": "2-3"}}).encode()
    office.hits.db.execute("UPDATE letter_in SET content = ? WHERE kind = 'label'", (broken,))
    assert network_letters.heard(office) == {}
