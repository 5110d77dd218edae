from __future__ import annotations

import json

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from dags.plugins.trigger_form import RefuseBadIntervals


@pytest.fixture
def api():
    """An api-server that answers with the body it was given."""

    async def echo(request: Request) -> JSONResponse:
        return JSONResponse(json.loads(await request.body() or b"null"))

    routes = [Route("/api/v2/{rest:path}", echo, methods=["GET", "POST"])]
    return TestClient(RefuseBadIntervals(Starlette(routes=routes)))


RUNS = "/api/v2/dags/ingest/dagRuns"


@pytest.mark.parametrize(
    ("conf", "complaint"),
    [
        ({"from": "2025-01-02", "to": "2025-01-01"}, "must be later"),
        ({"from": "2025-01-01", "to": "2025-01-01"}, "must be later"),
        ({"from": "2025-01-02"}, "give both"),
        ({"from": "soon", "to": "2025-01-01"}, "not a date"),
        ({"from": 7, "to": "2025-01-01"}, ""),
    ],
)
def test_a_bad_interval_is_refused_before_a_run_exists(api, conf, complaint):
    answer = api.post(RUNS, json={"logical_date": None, "conf": conf})
    assert answer.status_code == 422
    assert complaint in answer.json()["detail"]


def test_a_good_interval_and_an_empty_form_pass_with_their_body_whole(api):
    for conf in ({"from": "2025-01-01", "to": "2025-01-02", "tenants": ["t1"]}, {}, None):
        body = {"logical_date": None, "conf": conf}
        answer = api.post(RUNS, json=body)
        assert (answer.status_code, answer.json()) == (200, body)


def test_other_requests_are_not_looked_at(api):
    assert api.get(RUNS).status_code == 200
    assert api.post("/api/v2/dags/~/dagRuns/list", json={"conf": {"from": "x"}}).status_code == 200
