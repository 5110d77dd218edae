"""How fast each part is, beside the bare engine it stands on; and the README's figures, measured.

    python -m bench [--quick] [names…]     one table, JSON under var/bench/
    python -m bench.claims [--quick]       measures again what the README shows

Every measure runs in temporary folders and on a PostgreSQL of its own. A ratio is our speed over
the bare engine's, on the same data in the same run, so it means something on any machine.
Beside tests, this is the only room that may read the simulator's truth.
"""
