"""Following a chain, step by step: what Airflow answers at each look is written out here.

The same against a real Airflow is the standalone smoke run of the DAGs.
"""

from analytics.stack.airflow_client import _Chain


class Answers:
    """Stands in for Airflow at one moment; the tests move it on."""

    def __init__(self):
        self.states = {("ingest", "r1"): "running"}
        self.events = []  # of ingest r1
        self.paused = False

    def run(self, dag_id, run_id):
        return {"state": self.states[dag_id, run_id], "start_date": None, "end_date": None}

    def asset_events(self, dag_id, run_id):
        return self.events if dag_id == "ingest" else []

    def request(self, method, path):
        if path.startswith("/assets/"):
            return {"scheduled_dags": [{"dag_id": "features"}]}
        return {"is_paused": self.paused}

    def runs(self, dag_id, state):
        return [r for (d, r), s in self.states.items() if d == dag_id and s in state]


def an_event(*created):
    runs = [{"dag_id": dag_id, "run_id": run_id} for dag_id, run_id in created]
    return {"id": 1, "asset_id": 7, "created_dagruns": runs}


def a_chain(airflow, patience=1000.0):
    chain = _Chain(airflow, patience)
    chain.add("ingest", "r1")
    return chain


def test_a_run_that_announced_nothing_ends_its_chain():
    airflow = Answers()
    chain = a_chain(airflow)
    assert not chain.look()
    airflow.states["ingest", "r1"] = "success"
    assert chain.look()


def test_a_finished_run_is_not_the_end_while_its_reader_has_not_started():
    airflow = Answers()
    airflow.states["ingest", "r1"] = "success"
    airflow.events = [an_event()]
    chain = a_chain(airflow)
    assert not chain.look()
    airflow.events = [an_event(("features", "r2"))]
    airflow.states["features", "r2"] = "running"
    assert not chain.look()
    airflow.states["features", "r2"] = "failed"
    assert chain.look()
    assert [(r.dag_id, r.state) for r in chain.runs()] == [
        ("ingest", "success"), ("features", "failed"),
    ]  # fmt: skip


def test_an_event_whose_reader_stays_quiet_is_answered_after_patience():
    airflow = Answers()
    airflow.states["ingest", "r1"] = "success"
    airflow.events = [an_event()]
    chain = a_chain(airflow, patience=-1)
    assert chain.look()


def test_a_busy_reader_is_waited_for_however_long_it_takes():
    airflow = Answers()
    airflow.states["ingest", "r1"] = "success"
    airflow.states["features", "earlier"] = "running"
    airflow.events = [an_event()]
    chain = a_chain(airflow, patience=-1)
    assert not chain.look()


def test_a_paused_reader_is_not_waited_for():
    airflow = Answers()
    airflow.paused = True
    airflow.states["ingest", "r1"] = "success"
    airflow.events = [an_event()]
    assert a_chain(airflow).look()
