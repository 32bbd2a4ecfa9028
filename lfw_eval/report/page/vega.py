"""The JavaScript that draws, as text to put into the page."""

from functools import cache

import altair as alt
import vl_convert


def _version() -> str:
    known = vl_convert.get_vegalite_versions()
    written_for = alt.SCHEMA_VERSION.removeprefix("v").rpartition(".")[0]
    return written_for if written_for in known else known[-1]


VEGA_LITE = _version()
"""The version that Altair writes for, or else the newest that vl-convert has."""


@cache
def drawing_library() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as one script, which sets `window.vegaEmbed`."""
    bundle: str = vl_convert.javascript_bundle(
        "window.vegaEmbed = vegaEmbed;", vl_version=VEGA_LITE
    )
    # It stands within a script element, which these characters would end.
    return bundle.replace("</script", "<\\/script")
