"""The paper that figures are drawn on: Matplotlib out, SVG for a page in.

Matplotlib knows no CSS variables. So each role of a colour is drawn in a colour
that nobody would choose, and that colour is replaced in the text: the page then
decides, and the same figure is right in light, dark and print. Text stays text.
"""

import io
import re
import warnings
from collections.abc import Sequence
from html import escape

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

_ROLES = ("ink", "muted", "grid", "shade", *(f"c{i}" for i in range(8)))
ROLE = {name: f"#0102{i:02x}" for i, name in enumerate(_ROLES, 3)}
"""Colour to draw in, for each of the page's variables ``--<role>``"""
SERIES = tuple(ROLE[f"c{i}"] for i in range(8))
"""Colours of curves, in order; told apart by colour-blind readers too"""
NORMAL, ANOMALY, TRAIN = ROLE["c0"], ROLE["c1"], ROLE["c6"]

_STYLE = {
    "axes.edgecolor": ROLE["muted"],
    "axes.grid": True,
    "axes.labelcolor": ROLE["muted"],
    "axes.labelsize": 10,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": ROLE["ink"],
    "axes.titlesize": 10,
    "font.size": 10,
    "grid.color": ROLE["grid"],
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.5,
    "svg.fonttype": "none",
    "svg.hashsalt": "asd",
    # Names of users may hold a dollar sign.
    "text.parse_math": False,
    "xtick.color": ROLE["muted"],
    "xtick.labelcolor": ROLE["muted"],
    "ytick.color": ROLE["muted"],
    "ytick.labelcolor": ROLE["muted"],
}
_PIXELS = 72
"""An inch: of SVG's user units, which a page shows as pixels"""
_HEAD = re.compile(r"^.*?<svg\b[^>]*>", re.DOTALL)
_LONG = re.compile(r"(?<![\w.])(-?\d+\.\d{2})\d+")


class Canvas:
    """Panels one above the other, with margins in pixels.

    Parameters
    ----------
    width, height : int
        Pixels.
    panels : int
        Share the horizontal axis.
    margins : sequence of 4 int
        Left, bottom, right, top; pixels.
    """

    def __init__(
        self,
        width: int,
        height: int,
        panels: int = 1,
        margins: Sequence[int] = (46, 36, 10, 10),
    ) -> None:
        self.width, self.height = width, height
        left, bottom, right, top = margins
        with mpl.rc_context(_STYLE):  # type: ignore[arg-type]
            self._figure = Figure((width / _PIXELS, height / _PIXELS), dpi=_PIXELS)
            axes = self._figure.subplots(panels, 1, sharex=True, squeeze=False)
            self._figure.subplots_adjust(
                left / width, bottom / height, 1 - right / width, 1 - top / height, 0.3
            )
        self.panels: list[Axes] = list(axes[:, 0])
        for panel in self.panels:
            panel.set_axisbelow(True)

    def svg(self, name: str, title: str, text: str) -> str:
        """Write it out.

        Parameters
        ----------
        name : str
            Differs from that of every other figure of the page; a word.
        title, text : str
            What it is, and what it shows, for those who cannot see it.
        """
        paper = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        with mpl.rc_context(_STYLE), warnings.catch_warnings():  # type: ignore[arg-type]
            # The browser has the letters that Matplotlib's own font lacks.
            warnings.filterwarnings("ignore", message="Glyph .* missing from")
            self._figure.savefig(
                paper, format="svg", transparent=True, metadata=nothing
            )
        head = (
            f'<svg class="plot" xmlns="http://www.w3.org/2000/svg" '
            f'xmlns:xlink="http://www.w3.org/1999/xlink" role="img" '
            f'viewBox="0 0 {self.width} {self.height}" width="{self.width}" '
            f'height="{self.height}" aria-labelledby="{name}-t {name}-d">'
            f'<title id="{name}-t">{escape(title)}</title>'
            f'<desc id="{name}-d">{escape(text)}</desc>'
        )
        return head + _slim(_HEAD.sub("", paper.getvalue(), count=1), name)


def _slim(text: str, name: str) -> str:
    """Leave to the page what is the page's, and round to what can be seen."""
    text = re.sub(r"<style\b.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r"<g id=\"[^\"]*\"", "<g", text)
    text = re.sub(r"font-family: [^;\"]*;? ?", "", text)
    text = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", text)
    text = re.sub(r' transform="rotate\(-0 [^)]*\)"', "", text)
    # What is referred to keeps its name, told apart from other figures'.
    text = re.sub(r' id="', f' id="{name}-', text)
    text = re.sub(r'(url\(|href=")#', rf"\1#{name}-", text)
    text = re.sub(r' (d|x|y)="[^"]*"', lambda m: _LONG.sub(r"\1", m[0]), text)
    for role, colour in ROLE.items():
        text = text.replace(colour, f"var(--{role})")
    return re.sub(r"\s*\n\s*", " ", text).replace("> <", "><").strip()
