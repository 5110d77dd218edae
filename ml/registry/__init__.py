"""The model registry: MLflow, with one login a tenant."""

from ml.registry.client import Registry, connect
from ml.registry.tenants import ensure_tenants, tenant_login

__all__ = ["Registry", "connect", "ensure_tenants", "tenant_login"]
