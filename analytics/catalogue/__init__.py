"""Tracks known by name alone, matched to the tenant's own catalogue."""

from analytics.catalogue.matching import match
from analytics.catalogue.tracks import match_tracks

__all__ = ["match", "match_tracks"]
