"""An S3 server on loopback that fails on demand, as a process of its own.

    python -m tests.integration.lake.object_store_server

prints its address and serves until it is killed. It is moto's S3 behind a layer of faults,
set by `POST /faults` with a JSON list: `{"method": "GET", "path": "plays", "times": 2,
"kind": "slow_down"}` makes the next two GETs whose URL holds "plays" fail. Kinds:
`slow_down` (503), `broken` (500), `denied` (403), `reset` (the connection ends) and
`cut` (half of the body).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

STATUS = {"slow_down": (503, "SlowDown"), "broken": (500, "InternalError"),
          "denied": (403, "AccessDenied")}  # fmt: skip

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Faulty:
    """The store, with the faults that are due."""

    def __init__(self, store: Wsgi) -> None:
        self.store, self.faults = store, []

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        request = Request(environ)
        if request.path == "/faults":
            self.faults = request.get_json(force=True)
            return Response("ok")(environ, start)
        fault = self._due(request)
        if fault is None:
            return self.store(environ, start)
        if fault["kind"] in STATUS:
            status, code = STATUS[fault["kind"]]
            body = f"<Error><Code>{code}</Code><Message>on demand</Message></Error>"
            return Response(body, status, content_type="application/xml")(environ, start)
        if fault["kind"] == "reset":
            environ["werkzeug.socket"].close()
            return []
        whole = Response.from_app(self.store, environ, buffered=True)
        body = whole.get_data()
        half = Response(body[: len(body) // 2], whole.status_code, dict(whole.headers))
        half.headers["Content-Length"] = str(len(body))
        half.automatically_set_content_length = False
        return half(environ, start)

    def _due(self, request: Request) -> dict[str, Any] | None:
        for fault in self.faults:
            is_meant = fault["path"] in request.url and request.method == fault["method"]
            if is_meant and fault["times"] > 0:
                fault["times"] -= 1
                return fault
        return None


class Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: Any) -> None:
        pass


def main() -> None:
    app = Faulty(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    print(json.dumps({"url": f"http://127.0.0.1:{server.server_port}"}), flush=True)
    sys.stderr = open("/dev/null", "w")  # noqa: SIM115  # a client that hangs up is no news here
    server.serve_forever()


if __name__ == "__main__":
    main()
