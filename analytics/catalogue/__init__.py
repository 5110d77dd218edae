"""Tracks known by name alone, matched to the tenant's own catalogue."""

from analytics.catalogue.matching import match

__all__ = ["match"]
