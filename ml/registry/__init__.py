"""The model registry: MLflow, with one login a tenant."""

from ml.registry.client import Registry, connect
from ml.registry.tenants import ensure_tenant, tenant_login

__all__ = ["Registry", "connect", "ensure_tenant", "tenant_login"]
