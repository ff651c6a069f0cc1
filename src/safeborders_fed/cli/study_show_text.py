"""What ``safeborders node study show`` prints, from what ``node.showing`` found."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from safeborders_fed.cli.output import one_line
from safeborders_fed.cli.study_text import expectation, terms

if TYPE_CHECKING:
    from safeborders_fed.analyses.expectation import Expected
    from safeborders_fed.study.manifest import Manifest


def text_of(manifest: Manifest, content: dict[str, Any], accuracy: Expected) -> str:
    """The whole page: what is asked, what it touches, what it costs, what differs, and what to do."""
    blocks = [
        f"{terms(manifest)}\n{expectation(accuracy)}",
        "\n".join(_columns(content)),
        _standing(content),
        "\n".join(_compared(content)),
    ]
    blocks.append(f"To approve:  safeborders node study approve {content['study']} --hash {content['hash']}")
    return "\n\n".join(block for block in blocks if block)


def _columns(content: dict[str, Any]) -> Iterator[str]:
    yield "Columns that it reads:"
    for column in content["columns"]:
        identifying = "; IDENTIFYING" if column["identifying"] == "yes" else ""
        yield f"  {column['name']}: {column['label']} ({column['what']}{identifying})"


def _standing(content: dict[str, Any]) -> str:
    people = ", ".join(
        f"{entry['name']} (until {entry['expires'][:16].replace('T', ' ')} UTC)"
        for entry in content["approvals"]
    )
    lines = {
        "Status": content["status"] + (f" ({content['reason']})" if content["reason"] else ""),
        "Approved by": f"{people or 'nobody'}; {content['approvals_needed']} people must",
        "Victims": _victims(content["population"]),
        "Costs here": f"epsilon {content['epsilon']:.3g} at delta {content['delta']:g}, "
        f"rho {content['rho']:.4g}",
        "Left after": f"epsilon {content['epsilon_left_year']:.3g} this year, "
        f"{content['epsilon_left_lifetime']:.3g} for the lifetime",
    }
    if content["refused_by"] is not None:
        lines["Refused by"] = content["refused_by"]
    if content["obstacle"] is not None:
        lines["In the way"] = content["obstacle"]
    if content["reviews"]["text"]:
        lines["Others say"] = f"{content['reviews']['text']} (information; it counts for nothing here)"
    if content["told"]:
        last = content["told"][-1]
        lines["Coordinator"] = f"{last['state']} since {last['at'][:19]}, by {last['by']}"
    return "\n".join(f"{name + ':':<13}{one_line(text)}" for name, text in lines.items())


def _victims(population: dict[str, Any]) -> str:
    if population["victims"] is None:
        return f"not shown: {population['hidden']}"
    of = "in all" if population["population"] == "all" else population["population"]
    return f"{population['victims']:,} {of}, exactly: for this state's own people, and logged"


def _compared(content: dict[str, Any]) -> Iterator[str]:
    code = content["code"]
    same = "the same" if code["same"] else f"ANOTHER than here ({code['here'][:12]}...): ask what changed"
    yield f"Code that drafted it: {code['drafted'][:12]}..., {same}."
    last = content["since_last_of_its_kind"]
    if last is None:
        yield "It is the first of its kind here: no study with this analysis was approved before."
    elif not last["differences"]:
        yield f"It asks the same as study {last['study']}, the last of its kind here."
    else:
        yield f"Against study {last['study']}, the last of its kind here:"
        yield from (f"  {one_line(entry['text'])}" for entry in last["differences"])
    keys = content["keys_changed"]
    if keys is not None and not keys["changed"]:
        yield f"No state has another key than in study {keys['study']}, the last that was taken on here."
    elif keys is not None:
        yield f"KEYS that changed since study {keys['study']}, the last that was taken on here:"
        yield from (f"  {_key(entry)}" for entry in keys["changed"])


def _key(entry: dict[str, str]) -> str:
    from safeborders_fed.study.accepted_keys import fingerprint

    if not entry["before"]:
        return f"{entry['node']} is new: {fingerprint(entry['now'])}"
    if not entry["now"]:
        return f"{entry['node']} takes part no more"
    return f"{entry['node']}: {fingerprint(entry['now'])}, before {fingerprint(entry['before'])}"
