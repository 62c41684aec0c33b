"""Charts to files and into the page, by the Vega libraries that vl-convert bundles: no network, no browser needed."""

from __future__ import annotations

import base64
from functools import cache
from typing import Any

import altair as alt
import vl_convert

RESOLUTION = 300  # dots per inch of the PNG files
LARGEST_INLINE_SVG = 150_000  # bytes; a figure of thousands of points is lighter as PNG


@cache
def vega_lite_version() -> str:
    """The bundled Vega-Lite that matches the installed Altair's schema: the same major, the nearest minor."""
    wanted = tuple(int(part) for part in alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])
    offered = [tuple(int(part) for part in version.split(".")) for version in vl_convert.get_vegalite_versions()]
    best = min(offered, key=lambda v: (abs(v[0] - wanted[0]), abs(v[1] - wanted[1])))
    return ".".join(map(str, best))


@cache
def vega_javascript() -> str:
    """Vega, Vega-Lite and Vega-Embed as one classic script that sets `window.vegaEmbed`."""
    bundle: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=vega_lite_version())
    # The bundle declares its one-letter names at top level; in a function they stay out of the page's way.
    return f"(()=>{{{bundle}\n}})();".replace("\r\n", "\n").replace("\r", "\n").replace("</script", "<\\/script")


def png(spec: dict[str, Any]) -> bytes:
    """A PNG at 300 dots per inch."""
    image: bytes = vl_convert.vegalite_to_png(
        spec, vl_version=vega_lite_version(), ppi=RESOLUTION, allowed_base_urls=[]
    )
    return image


def pdf(spec: dict[str, Any]) -> bytes:
    """A PDF with the specification's size in points."""
    page: bytes = vl_convert.vegalite_to_pdf(spec, vl_version=vega_lite_version(), allowed_base_urls=[])
    return page


def inline_image(spec: dict[str, Any], image: bytes) -> str:
    """A data URL of the static figure, for print and for readers without JavaScript.

    Args:
        image: the figure as PNG, used where the drawing as SVG would be heavier than it is worth.
    """
    svg = vl_convert.vegalite_to_svg(spec, vl_version=vega_lite_version(), allowed_base_urls=[]).encode()
    if len(svg) <= LARGEST_INLINE_SVG:
        return f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"
    return f"data:image/png;base64,{base64.b64encode(image).decode()}"
