"""An S3 server that fails on demand; see object_store_server.py."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import boto3
import httpx
import pytest

PROJECT = Path(__file__).parents[3]
LOGIN = {"AWS_ACCESS_KEY_ID": "tests", "AWS_SECRET_ACCESS_KEY": "tests", "AWS_REGION": "us-east-1"}


@dataclass
class ObjectStore:
    """One bucket of a running server."""

    url: str
    bucket: str = "bucket"

    def put(self, key: str, content: bytes) -> str:
        self._client().put_object(Bucket=self.bucket, Key=key, Body=content)
        return f"s3://{self.bucket}/{key}"

    def keys(self, prefix: str) -> list[str]:
        found = self._client().list_objects_v2(Bucket=self.bucket, Prefix=prefix)
        return [entry["Key"] for entry in found.get("Contents", [])]

    def make_bucket(self) -> None:
        self._client().create_bucket(Bucket=self.bucket)

    def fail(self, *faults: dict[str, object]) -> None:
        httpx.post(f"{self.url}/faults", json=list(faults)).raise_for_status()

    def _client(self):
        return boto3.client(
            "s3", endpoint_url=self.url, region_name="us-east-1",
            aws_access_key_id="tests", aws_secret_access_key="tests",  # noqa: S106
        )  # fmt: skip


@pytest.fixture(scope="session")
def store_server() -> Iterator[ObjectStore]:
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.lake.object_store_server"],
        cwd=PROJECT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert server.stdout
        store = ObjectStore(json.loads(server.stdout.readline())["url"])
        store.make_bucket()
        yield store
    finally:
        server.kill()
        server.wait()


@pytest.fixture
def store(store_server: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    """The server, with the variables that lead the platform to it; no fault is left behind."""
    for name, value in {**LOGIN, "AWS_ENDPOINT_URL": store_server.url}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    yield store_server
    store_server.fail()
