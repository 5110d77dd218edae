"""Charts as inline SVG: no script, no font and no link from elsewhere."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

from analytics.report.model import Point

INK, MUTED, LINE, ACCENT, PALE = "#1c2430", "#6b7686", "#e3e7ee", "#2457c5", "#b9c9ee"


def line(points: Sequence[Point], since: object, label: str) -> str:
    """A daily series; days before `since` are pale, so that the two periods compare."""
    figure, axes = _canvas(7.2, 2.2)
    days = [p.day for p in points]
    values = [p.value for p in points]
    axes.plot(days, values, color=PALE, linewidth=2)
    now = [(d, v) for d, v in zip(days, values, strict=True) if d >= since]  # type: ignore[operator]
    if now:
        axes.plot(*zip(*now, strict=True), color=ACCENT, linewidth=2)
        axes.annotate(
            f"{now[-1][1]:,.0f}", now[-1], xytext=(6, 0), textcoords="offset points",
            va="center", fontsize=9, color=INK,
        )  # fmt: skip
    axes.set_ylim(bottom=0)
    axes.set_title(label, loc="left", fontsize=10, color=INK)
    axes.grid(axis="y", color=LINE, linewidth=0.8)
    import matplotlib.dates as mdates

    axes.xaxis.set_major_locator(mdates.AutoDateLocator(maxticks=7))
    axes.xaxis.set_major_formatter(mdates.DateFormatter("%d %b"))
    return _svg(figure)


def bars(values: Mapping[str, float], label: str) -> str:
    """Horizontal bars, each with its number."""
    figure, axes = _canvas(7.2, 0.55 + 0.34 * max(1, len(values)))
    names = list(values)[::-1]
    heights = [values[n] for n in names]
    axes.barh(names, heights, color=ACCENT, height=0.62)
    top = max([*heights, 1e-9])
    for row, value in enumerate(heights):
        axes.text(value + top * 0.01, row, f"{value:,.0f}", va="center", fontsize=9, color=INK)
    axes.set_xlim(0, top * 1.12)
    axes.xaxis.set_visible(False)
    axes.spines["bottom"].set_visible(False)
    axes.set_title(label, loc="left", fontsize=10, color=INK)
    return _svg(figure)


def _canvas(width: float, height: float):
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams["svg.fonttype"] = "none"
    mpl.rcParams["svg.hashsalt"] = "tenant-analytics"  # the same report, the same bytes
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(LINE)
    axes.tick_params(colors=MUTED, labelsize=9, length=0)
    return figure, axes


def _svg(figure) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
