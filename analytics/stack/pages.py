"""Serve declared folders of written pages on loopback, read-only; nothing else of the disk.

Run as `python -m analytics.stack.pages PORT NAME=FOLDER[:FOLDER] …`: of several
folders the first that exists is served. The index page says which have nothing yet.
"""

from __future__ import annotations

import html
import os
import posixpath
import sys
import urllib.parse
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from analytics.stack.addresses import HOST

TITLES = {
    "dbt": ("dbt docs", "every model, column and test, and where it comes from"),
    "data-docs": ("Data docs", "what the gates checked, and what they found"),
    "reports": ("Reports", "engagement, conversion and churn risk of each tenant"),
    "drift": ("Drift reports", "what moved, by tenant and day"),
}
_STYLE = """
:root { --ink: #1f2933; --soft: #667684; --line: #d9e0e6; --paper: #fff; --link: #1259b5; }
body { font: 17px/1.5 system-ui, sans-serif; max-width: 44rem; margin: 4rem auto; padding: 0 1rem;
  color: var(--ink); background: var(--paper); }
h1 { font-size: 1.6rem; } ul { list-style: none; padding: 0; }
li { border-top: 1px solid var(--line); padding: .7rem 0; } a { color: var(--link); }
li a { font-weight: 600; text-decoration: none; } small { color: var(--soft); display: block; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e9ee; --soft: #9aa8b4; --line: #37424c; --paper: #14191e; --link: #6cb0ff; }
}
"""


# Of dbt's target folder only the site itself: compiled SQL and run results stay inside.
_DBT_SITE = {"", "index.html", "static_index.html", "manifest.json", "catalog.json"}


class Pages(SimpleHTTPRequestHandler):
    """Read-only files of the declared folders; anything outside is 'not found'."""

    def __init__(self, *args: Any, folders: dict[str, list[Path]], **kwargs: Any) -> None:
        self.folders = folders
        super().__init__(*args, **kwargs)

    def do_GET(self) -> None:
        self._answer(super().do_GET)

    def do_HEAD(self) -> None:
        self._answer(super().do_HEAD)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Only refusals are logged; the health checks would drown them."""
        if not str(code).startswith(("2", "3")):
            super().log_request(code, size)

    def _answer(self, serve: Callable[[], None]) -> None:
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        if path == "/":
            self._index()
        elif path.strip("/") in self.folders and not path.endswith("/"):
            self.send_response(308)
            self.send_header("Location", path + "/")
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif self._file(path) is None:
            self.send_error(404, "nothing here; see the index page at /")
        else:
            serve()

    def translate_path(self, path: str) -> str:
        found = self._file(urllib.parse.unquote(urllib.parse.urlsplit(path).path))
        return str(found) if found else "/nowhere"

    def _file(self, path: str) -> Path | None:
        """The existing file meant by `path`, with links followed, or None when it lies outside."""
        name, _, rest = posixpath.normpath(path).lstrip("/").partition("/")
        if name not in self.folders or "\0" in path:
            return None
        if name == "dbt" and rest not in _DBT_SITE:
            return None
        root = self._root(name)
        if root is None:
            return None
        file = (root / rest).resolve()
        return file if file.is_relative_to(root) and file.exists() else None

    def _root(self, name: str) -> Path | None:
        return next((f.resolve() for f in self.folders[name] if f.exists()), None)

    def list_directory(self, path: str | os.PathLike[str]) -> None:
        """The pages of a folder that has no index of its own."""
        folder = Path(path)
        name = posixpath.normpath(urllib.parse.urlsplit(self.path).path).strip("/").split("/")[0]
        title = TITLES.get(name, (name, ""))[0]
        entries = sorted(p for p in folder.iterdir() if p.is_dir() or p.suffix == ".html")
        rows = "".join(
            f'<li><a href="{urllib.parse.quote(p.name)}{"/" if p.is_dir() else ""}">'
            f"{html.escape(p.stem)}</a></li>"
            for p in entries
        )
        up = '<p><a href="../">back</a></p>'
        self._send(title, f"{up}<h1>{html.escape(title)}</h1><ul>{rows}</ul>")

    def _index(self) -> None:
        rows = ""
        for name in self.folders:
            title, about = TITLES.get(name, (name, ""))
            about += "" if self._root(name) else " (nothing written yet)"
            rows += (
                f'<li><a href="/{name}/">{html.escape(title)}</a>'
                f"<small>{html.escape(about)}</small></li>"
            )
        self._send("Tenant Analytics", f"<h1>Tenant Analytics</h1><ul>{rows}</ul>")

    def _send(self, title: str, body: str) -> None:
        page = (
            '<!doctype html><html lang="en"><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{html.escape(title)}</title><style>{_STYLE}</style>{body}</html>"
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(page)


def serve(port: int, folders: dict[str, list[Path]]) -> ThreadingHTTPServer:
    """A server bound to loopback; the caller runs it."""
    return ThreadingHTTPServer((HOST, port), partial(Pages, folders=folders))


if __name__ == "__main__":
    declared = dict(argument.split("=", 1) for argument in sys.argv[2:])
    served = {n: [Path(p) for p in f.split(os.pathsep)] for n, f in declared.items()}
    serve(int(sys.argv[1]), served).serve_forever()
