"""The JavaScript drawing library, as text to embed in the page."""

from functools import cache

import altair as alt
import vl_convert


def _version() -> str:
    bundled = vl_convert.get_vegalite_versions()
    written_for = alt.SCHEMA_VERSION.removeprefix("v").rpartition(".")[0]
    return written_for if written_for in bundled else bundled[-1]


VEGA_LITE = _version()
"""The version that Altair targets, or else the newest that vl-convert bundles."""


@cache
def drawing_library() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as one script, which sets `window.vegaEmbed`."""
    bundle: str = vl_convert.javascript_bundle(
        "window.vegaEmbed = vegaEmbed;", vl_version=VEGA_LITE
    )
    # It goes into a script element, which this tag would close.
    return bundle.replace("</script", "<\\/script")
