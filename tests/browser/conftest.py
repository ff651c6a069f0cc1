"""The report in a real, headless Chromium; skipped where there is none."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1] / "unit" / "reporting"))  # the sample report

FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed (Debian: apt-get install chromium)")
    with sync_api.sync_playwright() as playwright:
        # Chromium's own sandbox does not start for root, as in a container; the page holds no script.
        started = playwright.chromium.launch(
            executable_path=chromium, chromium_sandbox=False, args=list(FLAGS)
        )
        yield started
        started.close()


@pytest.fixture(scope="session")
def report_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import report_samples  # noqa: PLC0415 - on the path only from here on

    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(report_samples.page(), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def card_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import report_samples  # noqa: PLC0415 - on the path only from here on

    from safeborders_fed.reporting.card import card, render_card  # noqa: PLC0415 - after the check

    path = tmp_path_factory.mktemp("card") / "model-card.html"
    path.write_text(render_card(card(report_samples.card())), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def tables_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from safeborders_fed.reporting.building import build  # noqa: PLC0415 - after the check for a browser
    from table_samples import catalogue, loaded, released  # noqa: PLC0415 - only where there is a browser

    quarters = tuple(f"{2024 + at // 4}-Q{at % 4 + 1}" for at in range(8))
    path = tmp_path_factory.mktemp("tables") / "tables.html"
    path.write_text(build([released(loaded(catalogue(3, quarters)))]), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def largest_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All tables of the catalogue for eight states over 40 quarters."""
    from safeborders_fed.reporting.building import build  # noqa: PLC0415 - after the check for a browser
    from table_samples import largest, released  # noqa: PLC0415 - only where there is a browser

    path = tmp_path_factory.mktemp("largest") / "largest.html"
    path.write_text(build([released(largest())], synthetic=True), encoding="utf-8")
    return path
