from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from analytics.errors import SettingsError
from analytics.settings import WAITING, Settings, load_settings


def test_defaults_run_everything_embedded():
    settings = load_settings({}, dotenv=None)
    assert settings.analytics_db_backend == "postgresql"
    assert settings.analytics_spark == "embedded"
    assert settings.analytics_warehouse_dsn is None


def test_a_misspelt_variable_of_the_process_is_refused_with_the_name_it_resembles():
    with pytest.raises(SettingsError, match=r"ANALYTICS_WORKRES .* Did you mean ANALYTICS_WORKERS"):
        load_settings({"ANALYTICS_WORKRES": "4"}, dotenv=None)


def test_a_misspelt_variable_of_the_file_is_refused_too(tmp_path: Path):
    (tmp_path / ".env").write_text("ML_WROKERS=4\n")
    with pytest.raises(SettingsError, match=r"ML_WROKERS .* Did you mean ML_WORKERS"):
        load_settings({}, dotenv=tmp_path / ".env")


def test_any_unknown_key_of_the_file_is_refused_whatever_its_prefix(tmp_path: Path):
    (tmp_path / ".env").write_text("WORKERS=4\n")
    with pytest.raises(SettingsError, match="WORKERS is not a setting"):
        load_settings({}, dotenv=tmp_path / ".env")


def test_other_variables_of_the_process_are_not_ours_to_judge():
    assert load_settings({"HOME": "/", "MLFLOW_TRACKING_URI": "x"}, dotenv=None).ml_workers == 2


def test_the_process_wins_over_the_file(tmp_path: Path):
    (tmp_path / ".env").write_text("ANALYTICS_WORKERS=3\nML_WORKERS=3\n")
    settings = load_settings({"ANALYTICS_WORKERS": "5"}, dotenv=tmp_path / ".env")
    assert (settings.analytics_workers, settings.ml_workers) == (5, 3)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ANALYTICS_DB_BACKEND", "mysql"),
        ("ANALYTICS_WORKERS", "0"),
        ("ANALYTICS_WORKERS", "many"),
        ("ML_WORKERS", "-1"),
        ("ML_STORAGE_BACKEND", "floppy"),
        ("ML_GPU_ENABLED", "perhaps"),
        ("ML_MONITORING_ENABLED", "perhaps"),
        ("ML_DISTRIBUTED_TRAINING", "perhaps"),
        ("ANALYTICS_POSTGRES_PORT", "70000"),
        ("ANALYTICS_SPARK", "flink"),
    ],
)
def test_a_bad_value_is_refused_by_name(name: str, value: str):
    with pytest.raises(SettingsError, match=name):
        load_settings({name: value}, dotenv=None)


def test_a_bad_dsn_is_never_echoed():
    dsn = "postgresql://someone:hunter2@db/warehouse"
    assert "hunter2" not in repr(load_settings({"ANALYTICS_WAREHOUSE_DSN": dsn}, dotenv=None))


ADDRESSES_WITH_A_LOGIN = [
    ("ML_TRACKING_URI", "https://bob:hunter2@mlflow.example/x"),
    ("ML_TRACKING_URI", "https://hunter2@mlflow.example"),
    ("ML_TRACKING_URI", "https://bob:hun/hunter2@mlflow.example"),
    ("ML_TRACKING_URI", "postgresql://db/mlflow?user=bob&password=hunter2"),
    ("ANALYTICS_LAKE_ROOT", "s3://bob:hunter2@lake/dev"),
    ("ANALYTICS_LAKE_ROOT", "s3://lake/dev?secret_access_key=hunter2"),
    ("ANALYTICS_SPARK", "sc://bob:hunter2@cluster:15002"),
]


@pytest.mark.parametrize(("name", "value"), ADDRESSES_WITH_A_LOGIN)
def test_an_address_with_a_login_is_refused_by_name_and_not_echoed(name: str, value: str):
    with pytest.raises(SettingsError, match=f"{name} holds a login.*write") as caught:
        load_settings({name: value}, dotenv=None)
    assert "hunter2" not in str(caught.value)
    with pytest.raises(ValidationError) as raw:
        Settings.model_validate({name.lower(): value})
    assert "hunter2" not in str(raw.value)


def test_where_the_registrys_password_belongs_is_said(tmp_path: Path):
    given = {"ML_TRACKING_URI": "https://bob:hunter2@m", "ANALYTICS_VAR_DIR": str(tmp_path)}
    with pytest.raises(SettingsError, match=f"'admin' into {tmp_path}/secrets/mlflow_admin"):
        load_settings(given, dotenv=None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ML_TRACKING_URI", "https://mlflow.example:5000/x"),
        ("ML_TRACKING_URI", "sqlite:////home/bob@work/mlflow.db"),
        ("ANALYTICS_LAKE_ROOT", "abfss://lake@account.dfs.core.windows.net/dev"),
        ("ANALYTICS_LAKE_ROOT", "/data/bob@work/lake"),
        ("ANALYTICS_SPARK", "sc://cluster:15002/;user_id=bob@work;token=hunter2"),
    ],
)
def test_an_address_without_a_login_is_taken(name: str, value: str):
    settings = load_settings({name: value}, dotenv=None)
    assert getattr(settings, name.lower()) == value
    assert "hunter2" not in repr(settings)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ANALYTICS_DB_BACKEND", "postgresql://bob:hunter2@db/warehouse"),
        ("ANALYTICS_DB_BACKEND", "host=db password=hunter2"),
        ("ANALYTICS_SPARK", "spark://bob:hunter2@cluster"),
        ("ANALYTICS_POSTGRES_PORT", "postgresql://bob:hunter2@db"),
    ],
)
def test_an_address_in_the_wrong_place_is_refused_and_not_echoed(name: str, value: str):
    with pytest.raises(SettingsError, match=name) as caught:
        load_settings({name: value}, dotenv=None)
    assert "hunter2" not in str(caught.value)


def test_a_file_that_is_no_text_is_named(tmp_path: Path):
    (tmp_path / ".env").write_bytes(b"ML_WORKERS=\xff\xfe\n")
    with pytest.raises(SettingsError, match=r"\.env is not UTF-8 text"):
        load_settings({}, dotenv=tmp_path / ".env")


@pytest.mark.parametrize("name", sorted(WAITING))
def test_what_is_not_served_yet_is_refused_with_what_it_waits_for(name: str):
    with pytest.raises(SettingsError, match=f"{name} is not served yet: .*arrive"):
        load_settings({name: "redis"}, dotenv=None)


def test_every_problem_is_named_at_once():
    with pytest.raises(SettingsError) as caught:
        load_settings({"ANALYTICS_NO": "1", "ML_NEITHER": "1", "CACHE_TTL": "60"}, dotenv=None)
    assert len(str(caught.value).splitlines()) == 3


def test_the_documented_settings_of_the_requirement_are_all_known_or_refused_with_a_reason():
    named = {
        "ANALYTICS_CACHE_BACKEND", "ANALYTICS_STREAM_BACKEND", "ANALYTICS_DB_BACKEND",
        "ML_STORAGE_BACKEND", "ML_GPU_ENABLED", "ML_AUTO_SCALING", "ML_MONITORING_ENABLED",
        "ML_DISTRIBUTED_TRAINING", "ANALYTICS_WORKERS", "ML_WORKERS", "CACHE_TTL",
    }  # fmt: skip
    assert named <= {f.upper() for f in Settings.model_fields} | set(WAITING)


def test_settings_are_frozen():
    settings = load_settings({}, dotenv=None)
    with pytest.raises(ValueError, match="frozen"):
        settings.ml_workers = 8


def test_only_the_settings_module_reads_the_environment():
    root = Path(__file__).parents[2]
    readers = []
    for room in ("analytics", "expectations", "spark_jobs", "ml", "dags"):
        for file in (root / room).rglob("*.py"):
            text = file.read_text()
            if "os.environ" in text or "getenv" in text:
                readers.append(file.relative_to(root).as_posix())
    assert set(readers) - {"analytics/settings.py"} == HANDS_ON_THE_ENVIRONMENT


# They read no setting: they hand the environment on to a child process, or set variables
# of a library that can be told in no other way.
HANDS_ON_THE_ENVIRONMENT = {
    "analytics/gates/engine.py",  # Great Expectations' telemetry, off
    "analytics/simulate/side_by_side.py",  # Polars' threads, one a process
    "analytics/stack/launch.py",  # becomes a service
    "analytics/stack/lifecycle.py",  # migrates Airflow's tables
    "analytics/stack/services.py",  # the services' PATH
    "analytics/warehouse/dbt.py",  # runs dbt
    "ml/drift/comparison.py",  # Evidently's telemetry, off
    "ml/registry/client.py",  # MLflow's login
    "spark_jobs/session.py",  # which Python and Java Spark takes
}
