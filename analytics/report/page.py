"""A report as one self-contained HTML page."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, select_autoescape
from markupsafe import Markup

from analytics.report import charts
from analytics.report.model import Figure, Report, Section

TEMPLATES = Path(__file__).parent / "templates"


def render(report: Report) -> str:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=select_autoescape(), trim_blocks=True
    )
    environment.filters |= {"amount": amount, "delta": delta, "mood": mood}
    pictures = {s.metric: [Markup(svg) for svg in _pictures(s, report)] for s in report.sections}
    reasons = report.insights.top_reasons if report.insights else {}
    why = Markup(charts.bars(reasons, "Reasons given most often")) if reasons else ""
    return environment.get_template("report.html").render(report=report, pictures=pictures, why=why)


def amount(figure: Figure) -> str:
    """The value as people write it."""
    if figure.value is None:
        return "no data"
    if figure.unit == "share":
        return f"{figure.value:.1%}"
    if figure.unit == "per listener":
        return f"{figure.value:,.1f}"
    return f"{figure.value:,.0f}"


def delta(figure: Figure) -> str:
    change = figure.delta
    return "" if change is None else f"{change:+.1%}"


def mood(figure: Figure) -> str:
    """Whether the change is welcome: a class name, and never colour alone (the sign stays)."""
    change = figure.delta
    if change is None or figure.good == "neither" or abs(change) < 0.005:
        return "even"
    return "good" if (change > 0) == (figure.good == "up") else "bad"


def _pictures(section: Section, report: Report) -> list[str]:
    lines = [
        charts.line(points, report.start, f"{name.capitalize()} a day")
        for name, points in section.series.items()
        if points
    ]
    return lines + [charts.bars(values, name) for name, values in section.bars.items()]
