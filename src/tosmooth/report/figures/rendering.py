"""Charts to files and into the page, by the Vega libraries that vl-convert bundles: no network, no browser needed."""

from __future__ import annotations

import base64
from functools import cache
from typing import Any

import altair as alt
import vl_convert

from tosmooth.report.figures.drawing_process import DrawingProcess

RESOLUTION = 300  # dots per inch of the PNG files
LARGEST_INLINE_SVG = 150_000  # bytes; a figure of thousands of points is lighter as PNG
_PROCESS = DrawingProcess()


@cache
def vega_lite_version() -> str:
    """The bundled Vega-Lite that matches the installed Altair's schema: the same major, the nearest minor."""
    wanted = tuple(int(part) for part in alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])
    offered = [tuple(int(part) for part in version.split(".")) for version in vl_convert.get_vegalite_versions()]
    best = min(offered, key=lambda v: (abs(v[0] - wanted[0]), abs(v[1] - wanted[1])))
    return ".".join(map(str, best))


@cache
def vega_javascript() -> str:
    """Vega, Vega-Lite and Vega-Embed as one classic script that sets `window.vegaEmbed`.

    Raises:
        DrawingError: it could not be made.
    """
    bundle: str = _PROCESS.call(
        "javascript_bundle", snippet="window.vegaEmbed = vegaEmbed;", vl_version=vega_lite_version()
    )
    # The bundle declares its one-letter names at top level; in a function they stay out of the page's way.
    return f"(()=>{{{bundle}\n}})();".replace("\r\n", "\n").replace("\r", "\n").replace("</script", "<\\/script")


def svg(spec: dict[str, Any]) -> str:
    """The drawing. Of one specification it is made once: the other formats are made from it.

    Raises:
        DrawingError: it could not be drawn; so do `png` and `pdf`.
    """
    drawing: str = _PROCESS.call("vegalite_to_svg", vl_spec=spec, vl_version=vega_lite_version(), allowed_base_urls=[])
    return drawing


def png(drawing: str) -> bytes:
    """A PNG of an SVG at 300 dots per inch."""
    image: bytes = _PROCESS.call("svg_to_png", svg=drawing, scale=1.0, ppi=RESOLUTION)
    return image


def pdf(drawing: str) -> bytes:
    """A PDF of an SVG, with its size in points."""
    page: bytes = _PROCESS.call("svg_to_pdf", svg=drawing)
    return page


def inline_image(drawing: str, image: bytes) -> str:
    """A data URL of the static figure, for print and for readers without JavaScript.

    Args:
        drawing: the figure as SVG.
        image: the same as PNG, used where the SVG would be heavier than it is worth.
    """
    encoded = drawing.encode()
    if len(encoded) <= LARGEST_INLINE_SVG:
        return f"data:image/svg+xml;base64,{base64.b64encode(encoded).decode()}"
    return f"data:image/png;base64,{base64.b64encode(image).decode()}"
