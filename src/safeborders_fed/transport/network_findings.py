"""What a doctor makes of what it saw on the network. Pure: facts in, lines out.

Guarantees: a proxy's user and password are not shown. The limits on clocks are Flower's own, and a warning
comes well before them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]

from flwr.common.constant import SYSTEM_TIME_TOLERANCE, TIMESTAMP_TOLERANCE

from safeborders_fed.errors import ConfigurationError, PeerError, SafeBordersError
from safeborders_fed.study import checkup, wire
from safeborders_fed.study.checkup import Finding, failed, ok, skipped, warning
from safeborders_fed.study.validity import Expiry
from safeborders_fed.transport.probes import UNSEEN_CLOCK, Answer, Shown

_PROXIES: Final = ("https_proxy", "all_proxy")
"""What the link's HTTP client takes for an https address; upper case counts too."""
AHEAD_FAILED: Final = float(SYSTEM_TIME_TOLERANCE)
AHEAD_WARNING: Final = 2.0
BEHIND_FAILED: Final = float(TIMESTAMP_TOLERANCE)
BEHIND_WARNING: Final = 30.0
_NEWEST_TLS: Final = "TLSv1.3"
_SET_CLOCK: Final = "switch time synchronisation on at both ends (`timedatectl set-ntp true`, or chrony)"


def proxy(name: str, host: str, environments: Mapping[str, Mapping[str, str]]) -> Finding:
    """Whether an environment diverts the way to a host.

    Args:
        name: The line's name.
        host: Where the way leads.
        environments: Whose environment, to its variables.
    """
    diverted = []
    for whose, variables in environments.items():
        lower = {key.lower(): value for key, value in variables.items() if value}
        used = next((key for key in _PROXIES if key in lower), None)
        if used is None or proxy_bypass_environment(host, {"no": lower.get("no_proxy", "")}):
            continue
        diverted.append(f"{whose} has {used.upper()} = {_without_password(lower[used])}")
    if diverted:
        return warning(
            name,
            f"a proxy is set ({'; '.join(diverted)}), so connections to {host} go through it; other lines "
            "here tried without it",
            f"add {host} to NO_PROXY of the service, unless the proxy is the only way out and lets TLS "
            "through unopened",
        )
    return ok(name, f"no proxy stands between this machine and {host}")


def _without_password(url: str) -> str:
    try:
        parts = urlsplit(url if "://" in url else f"//{url}")
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "an address that cannot be read"
    return f"{parts.hostname or 'nothing'}{port}"


def certificate(
    name: str, shown: Shown, now: datetime, who: type[SafeBordersError] = PeerError
) -> list[Finding]:
    """Whether a server is the one that the pinned authority vouches for, and for how long still.

    Args:
        name: The line's name.
        shown: What it showed.
        now: This machine's clock.
        who: Whose server it is.
    """
    until = f"{shown.until:%Y-%m-%d}" if shown.until else "an unknown day"
    if shown.code:
        clock = f"; or this clock is wrong: it says {now:%Y-%m-%d %H:%M} UTC" if _clock_may_be(shown) else ""
        return [
            failed(
                name,
                f"the certificate that is shown is refused: {shown.reason} (issuer {shown.issuer}, until "
                f"{until}){clock}",
                _fix_certificate(shown, who),
                who,
            )
        ]
    if shown.version != _NEWEST_TLS:
        return [
            warning(
                name,
                f"the coordinator speaks {shown.version}; its certificate is the pinned authority's",
                "have the gate speak TLS 1.3 only; something in between may have replaced it",
            )
        ]
    fix = "have the coordinator's operator run `safeborders coordinator renew-certificate`"
    ends = [] if shown.until is None else [Expiry("the server certificate", shown.until.date(), fix)]
    return [
        finding
        if finding.level != "ok"
        else ok(name, f"{shown.version}, certificate of the pinned authority until {until}")
        for finding in checkup.validity(name, ends, now.date(), lambda _: who is ConfigurationError)
    ]


def _clock_may_be(shown: Shown) -> bool:
    return shown.code in UNSEEN_CLOCK


def _fix_certificate(shown: Shown, who: type[SafeBordersError]) -> str:
    if shown.code in UNSEEN_CLOCK:
        if who is ConfigurationError:
            return "run `safeborders coordinator renew-certificate`, and check this machine's clock"
        return "check this machine's clock; if it is right, have the operator renew the server certificate"
    return (
        "ask the coordinator's operator whether the address or the authority changed; if not, something in "
        "between opens TLS: do not go on"
    )


def clock(name: str, answer: Answer) -> Finding:
    """How far this machine's clock is from the coordinator's."""
    if answer.date is None:
        return skipped(name, "the coordinator's gate does not say what time it has")
    ahead = answer.ahead
    if abs(ahead) <= answer.accuracy:  # it cannot be told from 0
        return ok(name, f"this clock and the coordinator's agree within {answer.accuracy:.1f} s")
    text = (
        f"this clock is {abs(ahead):,.1f} s {'ahead of' if ahead > 0 else 'behind'} the coordinator's "
        f"(± {answer.accuracy:.1f} s); SuperLink refuses a node from {AHEAD_FAILED:g} s ahead and "
        f"{BEHIND_FAILED:g} s behind"
    )
    if ahead >= AHEAD_FAILED or -ahead >= BEHIND_FAILED:
        return failed(name, text, _SET_CLOCK)
    if ahead >= AHEAD_WARNING or -ahead >= BEHIND_WARNING:
        return warning(name, text, _SET_CLOCK)
    return ok(name, text)


def hidden(name: str, statuses: Mapping[str, int], who: type[SafeBordersError] = PeerError) -> Finding:
    """Whether the gate shows nothing but fleet paths."""
    shown = [f"{path} ({status})" for path, status in statuses.items() if status != 404]
    if shown:
        return failed(
            name,
            f"the gate answers what should not be there: {', '.join(shown)}",
            "stop the coordinator's gate until it lets fleet paths through only: others could start runs",
            who,
        )
    return ok(name, f"the gate shows nothing but fleet paths ({len(statuses)} others were tried)")


def behind(name: str, status: int, who: type[SafeBordersError] = PeerError) -> Finding:
    """Whether a SuperLink stands behind the gate, by the answer to an unsigned request."""
    if status == 503:
        return failed(
            name,
            "the gate is there, SuperLink behind it is not",
            "look at `safeborders coordinator status`",
            who,
        )
    if status == 404:
        return failed(
            name,
            "what answers is not the gate of a coordinator",
            "check address and port with the operator",
            who,
        )
    if status < 400:
        return failed(
            name,
            "SuperLink answers requests that nobody signed",
            "stop the coordinator: it lets strangers in",
            who,
        )
    return ok(name, "SuperLink stands behind the gate, and refuses requests that nobody signed")


def exposed(name: str, addresses: Sequence[str], port: int) -> Finding:
    """Whether SuperLink listens on loopback only.

    Args:
        name: The line's name.
        addresses: Where something listens on its port.
        port: Its port.
    """
    outside = sorted({address for address in addresses if not _is_loopback(address)})
    if outside:
        return failed(
            name,
            f"port {port}, SuperLink's, can be reached from outside, at {', '.join(outside)}",
            "stop what listens there at once: whoever reaches it may start runs; it belongs on 127.0.0.1",
        )
    if not addresses:
        return skipped(name, f"nothing listens on port {port}")
    return ok(name, f"port {port}, SuperLink's, listens on loopback only")


def _is_loopback(address: str) -> bool:
    return address.startswith("127.") or address == "::1"


def connected(name: str, enrolled: Sequence[str], online: Sequence[str]) -> Finding:
    """Which of the enrolled nodes are connected."""
    if not enrolled:
        return skipped(name, "no state is enrolled yet")
    missing = [node for node in enrolled if node not in online]
    if not missing:
        return ok(name, f"all {len(enrolled)} enrolled nodes are connected: {' '.join(enrolled)}")
    text = (
        f"{len(enrolled) - len(missing)} of {len(enrolled)} nodes are connected; missing: {' '.join(missing)}"
    )
    return warning(name, text, "ask those nodes' teams to run `safeborders node doctor`")


def peer_versions(name: str, header: str | None, own: Mapping[str, str]) -> Finding:
    """Whether both ends can work together.

    Args:
        name: The line's name.
        header: What the gate says of itself (``versions_header``); None if it says nothing.
        own: This side's versions.
    """
    if header is None:
        return skipped(name, "the coordinator's gate does not say which versions it has")
    pairs = dict(part.split("=", 1) for part in header[:200].split() if "=" in part)
    theirs = ", ".join(f"{what} {version}" for what, version in pairs.items() if version.isascii())
    protocol = pairs.get("protocol", "")
    text = f"the coordinator has {theirs or 'nothing to say'}; this node has protocol {own['protocol']}"
    if not _near(protocol, own["protocol"]):
        return failed(
            name,
            f"{text}: they are too far apart",
            "install on the older side the version that the newer one has",
            PeerError,
        )
    if any(pairs.get(what, own[what]) != own[what] for what in ("software", "flower", "contract")):
        return warning(name, f"{text}: they differ, and work together", "upgrade the older side in time")
    return ok(name, text)


def _near(theirs: str, ours: str) -> bool:
    """Same protocol and minor versions one apart at most, as messages demand (ADR 15)."""
    try:
        (protocol, minor), (own_protocol, own_minor) = (
            tuple(int(part) for part in version.split(".")) for version in (theirs, ours)
        )
    except ValueError:
        return False
    return protocol == own_protocol and abs(minor - own_minor) <= wire.SUPPORTED_DIFFERENCE


def versions_header(versions: Mapping[str, str]) -> str:
    """Versions as one line of text for a header."""
    return " ".join(f"{what}={version}" for what, version in versions.items())
