"""Charts to files and into the page, by the Vega libraries that vl-convert bundles: no network, no browser needed."""

from __future__ import annotations

import base64
import hashlib
import os
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import altair as alt
import vl_convert

from tosmooth.files import write_bytes
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

    Bundled once for each version of the libraries, and then read from the user's own cache: `$XDG_CACHE_HOME/tosmooth`,
    or `~/.cache/tosmooth`. Never from beside a study, which may be a stranger's. A file there that is not as it was
    written is made again; where none can be written, there is none.

    Raises:
        DrawingError: it could not be made.
    """
    kept = _kept_script()
    if kept is not None:
        with suppress(OSError, ValueError):  # the first time; damaged
            digest, _, script = kept.read_bytes().partition(b"\n")
            if digest.decode() == hashlib.sha256(script).hexdigest():
                return script.decode()
    made = bundled_script()
    if kept is not None:
        with suppress(OSError):
            write_bytes(kept, f"{hashlib.sha256(made.encode()).hexdigest()}\n{made}".encode())
    return made


def _kept_script() -> Path | None:
    """Where the script of these versions is kept; None for a user without a home, or with a relative one."""
    try:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:
        return None
    if not home.is_absolute():
        return None
    versions = (version("tosmooth"), version("vl-convert-python"), vega_lite_version())
    return home / "tosmooth" / f"vega-{'-'.join(versions)}.js"


def bundled_script() -> str:
    """The same, made by the libraries: a second of work."""
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
