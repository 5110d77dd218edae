"""Data docs: what every gate judged, as pages that open without a network.

    var/data_docs/index.html                          the latest of every tenant and door, red first
    var/data_docs/<tenant>/<door>/index.html          that door's history
    var/data_docs/<tenant>/<door>/<run>/<table>.html  Great Expectations' own page

Great Expectations links its pages to content networks. Here those links are cut
and one small stylesheet of ours, inlined, dresses the same markup, so a page
works from `file://`, behind the docs server, and as an attachment. Runs of
different tenants may write at once: pages are theirs alone, the index is
rebuilt under a lock.
"""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2
from filelock import FileLock

from analytics.gates.report import GateReport, folder, slug, write_whole
from analytics.settings import Settings

if TYPE_CHECKING:
    from great_expectations.core import ExpectationSuiteValidationResult
    from great_expectations.render.view import DefaultJinjaPageView

HISTORY = 60  # runs a door's page lists
_HERE = Path(__file__).parent / "pages"
_ELSEWHERE = r"(?:https?:)?//[^\"'\s>]+"


def root(settings: Settings) -> Path:
    return settings.var / "data_docs"


def index(settings: Settings) -> Path:
    return root(settings) / "index.html"


def page_of(tenant_id: str, door: str, run_id: str, table: str) -> str:
    """Where a table's page lies under the data docs."""
    return f"{tenant_id}/{door}/{slug(run_id)}/{slug(table)}.html"


def write_page(settings: Settings, page: str, result: ExpectationSuiteValidationResult) -> None:
    """Render one validation as a page of its own."""
    from great_expectations.render.renderer import ValidationResultsPageRenderer

    rendered = _view().render(ValidationResultsPageRenderer().render(result))
    write_whole(root(settings) / page, offline(rendered, home="../" * page.count("/")))


@functools.cache
def _view() -> DefaultJinjaPageView:
    """One view a process: each compiles some twenty templates, which costs more than a page."""
    from great_expectations.render.view import DefaultJinjaPageView

    return DefaultJinjaPageView()


def offline(html: str, home: str) -> str:
    """The page without anything fetched from elsewhere, dressed by our own stylesheet."""
    html = re.sub(rf"<script[^>]*\ssrc=[\"']?{_ELSEWHERE}[^>]*>\s*</script>", "", html)
    html = re.sub(r"<script>.*?</script>", "", html, flags=re.DOTALL)  # all need jQuery
    html = re.sub(r"<link\b[^>]*>", "", html)
    html = re.sub(r"<footer\b.*?</footer>", "", html, flags=re.DOTALL)
    html = re.sub(rf"<img\b[^>]*\ssrc=[\"']?{_ELSEWHERE}[^>]*>", "<strong>Data docs</strong>", html)
    html = re.sub(rf"url\([\"']?{_ELSEWHERE}[\"']?\)", "none", html)
    html = re.sub(
        rf"<a\b[^>]*\shref=[\"']{_ELSEWHERE}[\"'][^>]*>(.*?)</a>", r"\1", html, flags=re.S
    )
    html = re.sub(r"@import[^;]+;", "", html)
    html = re.sub(r'href="(?:\.\./)+index\.html"', f'href="{home}index.html"', html)
    html = re.sub(r'<a href="(?:\.\./)+expectations/[^"]*"\s*>(.*?)</a>', r"\1", html)
    style, script = _asset("style.css"), _asset("page.js")
    return html.replace(
        "</head>", f"<style>\n{style}</style>\n<script>\n{script}</script>\n</head>", 1
    )


def publish(settings: Settings, report: GateReport) -> Path:
    """Rebuild the door's history and the index; gives the index's path."""
    tenant_id, door = report.tenant_id, report.door
    with FileLock(str(folder(settings) / ".docs.lock")):
        page = root(settings) / tenant_id / door / "index.html"
        history = _reports(folder(settings) / tenant_id / door, HISTORY)
        html = _template("door.html").render(
            reports=history, home="../../", tenant_id=tenant_id, door=door
        )
        write_whole(page, html)
        doors = (path for path in folder(settings).glob("*/*") if path.is_dir())
        latest = [report for path in doors for report in _reports(path, 1)]
        latest.sort(key=lambda r: (r.passed, r.tenant_id, r.door))
        write_whole(index(settings), _template("index.html").render(reports=latest, home=""))
    return index(settings)


def _reports(door: Path, most: int) -> list[GateReport]:
    """The door's stored reports, latest first."""
    files = sorted(door.glob("[!.]*.json"), key=lambda f: f.stat().st_mtime_ns, reverse=True)
    return [GateReport.from_dict(json.loads(f.read_text())) for f in files[:most]]


def _asset(name: str) -> str:
    return (_HERE / name).read_text()


@functools.cache
def _template(name: str) -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.globals["style"] = _asset("style.css")
    environment.filters["slug"] = slug
    return environment.get_template(name)
