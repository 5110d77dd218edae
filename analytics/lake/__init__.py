"""The Delta lake: bronze (what came), silver (canonical), quarantine, ledger."""
