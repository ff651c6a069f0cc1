"""E-mail addresses and online handles.

Guarantees: an address becomes the mailbox that it reaches: without display name, case, sub-address
(RFC 5233) or the dots that Gmail ignores; an internationalised domain has one form, however it is encoded.
A handle has its platform; one without a platform is weak.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from safeborders_fed.links.forms_base import Form, form, one_script, table
from safeborders_fed.links.forms_phone import phone_forms

_ADDRESS: Final = re.compile(r"([^\s<>()\[\],;:\"@/\\]{1,64})@([^\s<>()\[\],;:\"@/\\]{3,253})")
_LABEL: Final = re.compile(r"[^\W_](?:[\w-]{0,61}[^\W_])?")
_GMAIL: Final = frozenset({"gmail.com", "googlemail.com"})
_URL: Final = re.compile(
    r"^(?:https?://)?(?:(?:www|m|mobile|web|[a-z]{2}-[a-z]{2})\.)?([a-z]{1,12}\.[a-z]{2,3})/(.+)$"
)
_PATHS: Final = re.compile(r"^(?:in|u|user|users|c|channel|add|s|people|profile)/")
_PROFILE: Final = re.compile(r"^profile\.php\?(?:[^#]*&)?id=(\d+)")
_NAMED: Final = re.compile(r"^([^\W\d_][\w ]{0,19}?)\s*(?:[:/|,;\u2013\u2014-]\s*@?|\s@)\s*(\S.*)$")
_HANDLE: Final = re.compile(r"[\w.\-#+]{2,64}")


def _platforms() -> dict[str, str]:
    return {word: name for name, words in table("platforms")["names"].items() for word in words}


_PLATFORMS: Final = _platforms()
_HOSTS: Final[dict[str, str]] = table("platforms")["hosts"]
_NO_DOTS: Final = frozenset(table("platforms")["dots_do_not_count"]["platforms"])
_BY_NUMBER: Final = frozenset(table("platforms")["telephone"]["platforms"])


def email_forms(text: str) -> tuple[Form, ...]:
    """The form of the mailbox in ``text``."""
    mailbox = mailbox_of(text)
    return (form("email", mailbox),) if mailbox else ()


def mailbox_of(text: str) -> str:
    """The mailbox that the first address in ``text`` reaches, or an empty text."""
    # Folding can compose differently, so that it is normalised once more.
    found = _ADDRESS.search(unicodedata.normalize("NFKC", text.casefold().removeprefix("mailto:")))
    if not found:
        return ""
    domain = _domain(found[2].strip(".'"))
    local = one_script(found[1].strip(".'")).split("+")[0]
    if domain in _GMAIL:
        local, domain = local.replace(".", ""), "gmail.com"
    return f"{local}@{domain}" if local and domain else ""


def _domain(text: str) -> str:
    """A domain as Unicode text, or an empty text where it is none."""
    labels = [_decoded(label) for label in re.split(r"[.。]", text)]
    right = len(labels) > 1 and all(_LABEL.fullmatch(label) for label in labels) and not labels[-1].isdigit()
    return ".".join(labels) if right else ""


def _decoded(label: str) -> str:
    if not label.startswith("xn--"):
        return one_script(label)
    try:
        text = label[4:].encode("ascii").decode("punycode")
    except UnicodeError:
        return label
    return one_script(unicodedata.normalize("NFKC", text.casefold()))


def handle_forms(text: str, state: str) -> tuple[Form, ...]:
    """The form of an online handle in ``text``."""
    text = unicodedata.normalize("NFKC", text.casefold()).strip(" .,;")
    platform, name = _split(text)
    if platform in _BY_NUMBER:
        number = phone_forms(name if name.startswith(("+", "0")) else f"+{name}", state)
        number = number or phone_forms(name, state)
        if number:
            return (form("handle", platform, number[0].text.partition(":")[2]),)
    name = one_script(name.strip().lstrip("@").strip())
    if platform in _NO_DOTS:
        name = name.replace(".", "")
    if not _HANDLE.fullmatch(name) or not any(map(str.isalnum, name)):
        return ()
    return (form("handle", platform, name) if platform else form("handle-bare", name),)


def _split(text: str) -> tuple[str, str]:
    """Platform and handle; the platform is empty where the text names none."""
    address = _URL.match(text)
    if address and address[1] in _HOSTS:
        path = _PATHS.sub("", address[2].lstrip("/"))
        profile = _PROFILE.match(path)
        return _HOSTS[address[1]], profile[1] if profile else re.split(r"[/?#]", path)[0]
    named = _NAMED.match(text)
    if named and named[1] in _PLATFORMS:
        platform = _PLATFORMS[named[1]]
        inside = _URL.match(named[2])
        return (platform, _split(named[2])[1]) if inside and inside[1] in _HOSTS else (platform, named[2])
    if named and ":" in text and "//" not in text:
        head, _, tail = text.partition(":")
        return "".join(filter(str.isalnum, head)), tail
    return "", text
