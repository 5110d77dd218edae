"""A real browser before a stack that is up; pictures of every page under var/pictures."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from analytics.errors import StackError
from analytics.settings import Settings, load_settings
from analytics.stack import Endpoints, endpoints

HERE = Path(__file__).parent
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
OURS = "127.0.0.1"
# The assistant that MLflow opens beside the page of somebody who comes for the first time.
SEEN_BEFORE = """
localStorage.setItem("mlflow.assistant.fab.autoOpenedOnFirstLoad_v1", "true");
localStorage.setItem("mlflow.assistant.panelOpen_v1", "false");
"""

Visit = Callable[..., AbstractContextManager[Any]]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--browser-pictures", action="store_true", help="look at the running stack in a browser"
    )
    parser.addoption("--stack", metavar="VAR", help="its var folder (default: the project's)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--browser-pictures", default=False):
        return
    reason = "wants a stack that is up and an installed Chromium: `make run`, then `make e2e`"
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def stack_settings(request: pytest.FixtureRequest) -> Settings:
    """The settings people use, not the temporary ones of the other tests."""
    environment = {k: v for k, v in os.environ.items() if k != "ANALYTICS_VAR_DIR"}
    if var := request.config.getoption("--stack"):
        environment["ANALYTICS_VAR_DIR"] = str(Path(var).resolve())
    return load_settings(environment)


@pytest.fixture(scope="session")
def at(stack_settings: Settings) -> Endpoints:
    """Where the stack listens."""
    try:
        found = endpoints(stack_settings)
    except StackError:
        pytest.fail(f"no stack under {stack_settings.var}: run `make run` first", pytrace=False)
    return found


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    program = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if program is None:
        pytest.fail(
            "no Chromium on the PATH; install one (Debian: apt install chromium)", pytrace=False
        )
    # The name resolver knows this machine only, so the browser's own errands stay here too.
    arguments = [
        "--no-sandbox", "--no-proxy-server", "--disable-dev-shm-usage",
        "--font-render-hinting=none",
        f"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE {OURS}",
    ]  # fmt: skip
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=arguments)
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def visit(browser: Any) -> Visit:
    """`with visit(user, password) as page:` fails when the page asked another machine."""

    @contextmanager
    def visiting(user: str = "", password: str = "") -> Iterator[Any]:
        login = {"username": user, "password": password} if user else None
        context = browser.new_context(
            viewport={"width": 1500, "height": 940}, http_credentials=login, reduced_motion="reduce"
        )
        context.add_init_script(f"try {{ {SEEN_BEFORE} }} catch {{}}")
        context.set_default_timeout(60_000)
        asked: list[str] = []
        context.on("request", lambda request: asked.append(request.url))
        try:
            yield context.new_page()
        finally:
            context.close()
        outside = [url for url in asked if urlsplit(url).hostname not in (OURS, None)]
        assert asked
        assert outside == []

    return visiting


@pytest.fixture(scope="session")
def picture(stack_settings: Settings) -> Callable[..., Path]:
    """`picture(page, name)` keeps what the page shows, once its letters and lines are still."""
    folder = stack_settings.var / "pictures"
    folder.mkdir(exist_ok=True)

    def take(page: Any, name: str, whole: bool = False) -> Path:
        page.wait_for_timeout(1500)
        file = folder / f"{name}.png"
        page.screenshot(path=file, full_page=whole)
        assert file.stat().st_size > 15_000, f"{file} is an empty page"
        return file

    return take
