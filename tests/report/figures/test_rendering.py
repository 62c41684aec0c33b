from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest
import vl_convert

from tosmooth.report.figures import rendering
from tosmooth.report.figures.accuracy import accuracy_figure
from tosmooth.report.figures.rendering import (
    RESOLUTION,
    bundled_script,
    inline_image,
    pdf,
    png,
    svg,
    vega_javascript,
    vega_lite_version,
)
from tosmooth.report.figures.style import theme
from tosmooth.report.reading import StudyFiles


def test_the_static_figure_is_a_papers_column_wide(effect_files: StudyFiles) -> None:
    figure = accuracy_figure(effect_files, ("hinton", "resnet8"), main=True)
    assert figure is not None
    spec = figure.paper_spec(theme(effect_files.alphas, "paper"), preview=False)
    drawing = svg(spec)
    image = png(drawing)
    assert image == vl_convert.vegalite_to_png(spec, vl_version=vega_lite_version(), ppi=RESOLUTION)
    width, _ = struct.unpack(">II", image[16:24])
    assert 970 <= width <= 980  # 234 points at 300 dots an inch are 975 pixels
    page = pdf(drawing)
    box = re.search(rb"MediaBox *\[ *0 +0 +([\d.]+)", page)
    assert box is not None
    assert 233 <= float(box[1]) <= 236
    assert inline_image(drawing, image).startswith("data:image/svg+xml;base64,")


def test_the_bundled_script_needs_no_network_and_cannot_end_its_element() -> None:
    script = bundled_script()
    assert "window.vegaEmbed" in script
    assert "</script" not in script.lower()
    assert "\r" not in script
    assert vega_lite_version() in vl_convert.get_vegalite_versions()


def test_the_script_is_bundled_once_and_a_damaged_one_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(rendering, "bundled_script", lambda: made.append("one") or "window.vegaEmbed = 'α';\n")
    script = vega_javascript.__wrapped__
    assert script() == script() == "window.vegaEmbed = 'α';\n"
    assert len(made) == 1
    (kept,) = (tmp_path / "tosmooth").iterdir()
    for content in (b"", b"evil()", kept.read_bytes() + b"evil()", b"\xff\n"):
        kept.write_bytes(content)
        assert script() == "window.vegaEmbed = 'α';\n"
    assert len(made) == 5
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null/nothing")  # where none can be written
    assert script() == "window.vegaEmbed = 'α';\n"
