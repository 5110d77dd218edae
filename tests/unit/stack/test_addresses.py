import json
import socket

import pytest

from analytics.errors import StackError
from analytics.stack import addresses


@pytest.fixture
def place(settings):
    (settings.var / "stack").mkdir(parents=True)
    return settings


@pytest.fixture
def taken():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_chosen_ports_are_free_and_differ(place):
    ports = addresses.choose(place).ports()
    assert len(set(ports.values())) == 4
    assert all(addresses.is_free(port) for port in ports.values())


def test_the_next_up_keeps_the_ports(place):
    assert addresses.choose(place) == addresses.choose(place) == addresses.endpoints(place)


def test_a_remembered_port_that_a_stranger_took_is_replaced(place, taken):
    before = addresses.choose(place)
    record = place.var / "stack" / "endpoints.json"
    known = json.loads(record.read_text())
    record.write_text(json.dumps({**known, "mlflow_url": f"http://127.0.0.1:{taken}"}))
    after = addresses.choose(place)
    assert after.ports()["mlflow"] != taken
    assert after.postgres_port == before.postgres_port


def test_a_remembered_port_on_which_our_own_service_listens_is_kept(place, taken):
    addresses.choose(place)
    record = place.var / "stack" / "endpoints.json"
    known = json.loads(record.read_text())
    record.write_text(json.dumps({**known, "mlflow_url": f"http://127.0.0.1:{taken}"}))
    assert addresses.choose(place, ours={taken}).ports()["mlflow"] == taken


def test_a_configured_port_taken_by_a_stranger_is_named_with_its_setting(make_settings, taken):
    settings = make_settings(analytics_airflow_port=taken)
    (settings.var / "stack").mkdir(parents=True)
    with pytest.raises(StackError, match=rf"port {taken} is taken.*ANALYTICS_AIRFLOW_PORT"):
        addresses.choose(settings)
    assert addresses.choose(settings, ours={taken}).airflow_url.endswith(f":{taken}")


def test_one_port_for_two_services_is_refused(make_settings, place):
    port = addresses.choose(place).postgres_port
    settings = make_settings(analytics_airflow_port=port, analytics_docs_port=port)
    with pytest.raises(StackError, match="configured twice"):
        addresses.choose(settings)


def test_without_a_stack_the_message_says_what_to_run(settings):
    with pytest.raises(StackError, match="analytics up"):
        addresses.endpoints(settings)
