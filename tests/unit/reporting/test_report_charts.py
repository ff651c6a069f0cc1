from __future__ import annotations

import re

import pytest
import report_samples

from safeborders_fed.reporting import charts, drawing


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def texts(svg: str) -> list[str]:
    return re.findall(r"<text [^>]*>([^<]*)</text>", svg)


@pytest.mark.parametrize("colour", drawing.COLOURS)
def test_colours_of_marks_stand_out_from_white(colour: str) -> None:
    assert contrast(colour, "#ffffff") >= 3  # WCAG 1.4.11: graphical objects


def test_numbers_can_be_read_on_every_shade() -> None:
    lower_ends = (0, *drawing.SHADE_STEPS)
    for shade, lowest in zip(drawing.SHADES, lower_ends, strict=True):
        ink = "#ffffff" if lowest >= drawing.DARK_FROM else drawing.INK
        assert contrast(ink, shade) >= 4.5


def test_kinds_of_points_differ_in_shape_as_well_as_colour() -> None:
    for together in (
        ("Best possible", charts.POOLED, charts.FEDERATED, charts.ALONE),
        (charts.FEDERATED, charts.OWN),
    ):
        assert len({charts._KINDS[kind][0] for kind in together}) == len(together)
        assert len({charts._KINDS[kind][1] for kind in together}) == len(together)


def test_every_model_is_a_labelled_row() -> None:
    detection = report_samples.detection()
    drawn = texts(charts.models_chart(detection, name="c").svg)
    for node, area in detection.alone.items():
        assert f"{node} alone" in drawn
        assert ("no model" if area is None else f"{area:.3f}") in drawn
    assert {"0.884", "0.890", "0.901"} <= set(drawn)


def test_labels_of_a_node_stand_on_either_side_of_its_points() -> None:
    rows = list(charts._own_rows("A", (0.8, 0.9))) + list(charts._own_rows("B", (0.9, 0.9)))
    assert [(row["row"], row["left"]) for row in rows] == [
        ("A", False),
        ("A", True),
        ("B", True),
        ("B", False),
    ]


@pytest.mark.parametrize("values", [[0.5], [0.0, 1.0], [0.701, 0.884, None], [None], [0.999, 1.0]])
def test_axis_holds_all_areas(values: list[float | None]) -> None:
    low, high = charts._auc_domain(values)
    assert 0 <= low < high
    assert all(low <= value <= high for value in values if value is not None)


def test_ids_of_the_renderer_are_numbered_anew_under_the_name_of_the_chart() -> None:
    drawn = (
        '<svg xmlns="http://www.w3.org/2000/svg">'
        '<defs><clipPath id="clip7"/><clipPath id="clip9"/></defs>'
        '<g clip-path="url(#clip9)" role="graphics-symbol" style="fill: red"/>'
        '<g clip-path="url(#clip7)"/></svg>'
    )
    image = drawing.as_image(drawn, "years", "Title & more", "What <it> shows")
    assert re.findall(r'<clipPath id="([^"]+)"', image) == ["years-0", "years-1"]
    assert re.findall(r'clip-path="([^"]+)"', image) == ["url(#years-1)", "url(#years-0)"]
    assert "graphics-symbol" not in image
    assert "style" not in image
    assert '<title id="years-title">Title &amp; more</title>' in image
    assert '<desc id="years-desc">What &lt;it&gt; shows</desc>' in image
