import http.client
import threading

import pytest

from analytics.stack.pages import serve


@pytest.fixture
def get(tmp_path):
    """Ask the server for a raw path, unnormalised."""
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "password").write_text("hidden")
    reports = tmp_path / "reports"
    reports.mkdir()
    (reports / "t1.html").write_text("report of t1")
    (reports / "link").symlink_to(tmp_path / "secrets" / "password")
    dbt = tmp_path / "target"
    dbt.mkdir()
    (dbt / "index.html").write_text("dbt docs")
    (dbt / "run_results.json").write_text("hidden")
    folders = {
        "reports": [reports],
        "drift": [tmp_path / "none"],
        "dbt": [tmp_path / "absent", dbt],
    }
    server = serve(0, folders)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def ask(path, method="GET"):
        connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=10)
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()

    yield ask
    server.shutdown()
    server.server_close()


def test_the_index_names_every_site_and_says_which_is_empty(get):
    status, page = get("/")
    assert status == 200
    assert 'href="/reports/"' in page
    assert page.count("nothing written yet") == 1


def test_a_folder_without_index_lists_its_pages_and_nothing_else(get):
    status, page = get("/reports/")
    assert status == 200
    assert '<a href="t1.html">t1</a>' in page
    assert "link" not in page.split("</style>")[1]
    assert get("/reports/", method="HEAD") == (200, "")


def test_written_pages_are_served(get):
    assert get("/reports/t1.html") == (200, "report of t1")
    assert get("/dbt/") == (200, "dbt docs")
    assert get("/reports")[0] == 308


@pytest.mark.parametrize(
    "path",
    [
        "/secrets/password",
        "/reports/../secrets/password",
        "/reports/%2e%2e/secrets/password",
        "/reports/..%2fsecrets/password",
        "/reports//../../secrets/password",
        "/../secrets/password",
        "//etc/passwd",
        "/reports/link",
        "/reports/%00",
        "/drift/",
        "/dbt/run_results.json",
        "/dbt/../reports/../secrets/password",
    ],
)
def test_nothing_else_of_the_disk_is_reachable(get, path):
    for method in ("GET", "HEAD"):
        status, body = get(path, method)
        assert "hidden" not in body
        assert "root:" not in body
        assert status == 404
