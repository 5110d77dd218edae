"""The local stack: PostgreSQL, Airflow, MLflow and the docs sites on one machine."""

from analytics.stack.addresses import Endpoints, endpoints
from analytics.stack.airflow import AirflowClient, airflow_environment
from analytics.stack.health import ServiceStatus
from analytics.stack.lifecycle import down, postgres_of, status, up

__all__ = [
    "AirflowClient",
    "Endpoints",
    "ServiceStatus",
    "airflow_environment",
    "down",
    "endpoints",
    "postgres_of",
    "status",
    "up",
]
