"""The documents name things that exist."""

import re

import pytest

from federation_of import ROOT

PROPERTIES = (ROOT / "docs" / "security-properties.md").read_text(encoding="utf-8")
SOURCES = {path: path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py")}


@pytest.mark.parametrize("name", sorted(set(re.findall(r"(?:::|…)(test_\w+)", PROPERTIES))))
def test_each_promise_names_a_test_that_exists(name: str) -> None:
    assert any(f"def {name}(" in text for text in SOURCES.values())


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`([\w/]+/test_\w+\.py)", PROPERTIES))))
def test_each_promise_names_a_file_that_exists(path: str) -> None:
    assert (ROOT / "tests" / path).is_file()


@pytest.mark.parametrize("document", ["README.md", "docs/architecture.md", "docs/operations.md"])
def test_links_between_documents_lead_somewhere(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert ((ROOT / document).parent / target).exists(), target
