"""A multi-tenant music service with known truth. See docs/simulator.md."""
