"""What really is so, written beside the data for judges of models, never for the pipeline.

Under `<folder>/<tenant>/`: `hazards/<Monday>.parquet` (listener_id, as_of_date,
daily_hazard, churn_probability, satisfaction), `churn.parquet` (when payers
left), `oracle.parquet`, `listeners.parquet`, `tracks.parquet`, `effects.json`,
`counts.parquet` and `damaged.parquet`.
"""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from analytics.simulate.churn import HORIZON_DAYS, auc
from analytics.simulate.delivery import counts
from analytics.simulate.files import whole
from analytics.simulate.lifecycle import COST_MICROS, EXPERIMENTS, REACH, TOUCH_EFFECT
from analytics.simulate.rows import Rows, stacked
from analytics.simulate.spelling import words
from analytics.simulate.words import CHANNELS, DAMAGES, FREE, GENRES, NO_DAMAGE
from analytics.simulate.world import Day, World


class Truth:
    """Collects the truth of one tenant; `close` writes what needs the whole history."""

    def __init__(self, folder: Path, world: World) -> None:
        self.folder, self.world = folder, world
        self.left: list[Rows] = []
        self.counts: list[dict[str, object]] = []
        self.damaged: list[Rows] = []

    def midnight(self) -> None:
        """Before a day is lived: what the oracle says, on Mondays."""
        said, today = self.world.oracle(), self.world.date
        if said is not None:
            who = Rows(listener_id=said["listener"] + 1).plus(as_of_date=np.datetime64(today))
            self._write(f"hazards/{today}", who.plus(**said.without("listener").columns).frame())

    def day(self, day: date, happened: Day, arriving: Day) -> None:
        """After it: who left, what was handed over, what broke."""
        events = happened["subscription_events"]
        left = events.at((events["plan_from"] > FREE) & (events["plan_to"] <= FREE))
        self.left.append(left.only("listener", "plan_to").plus(day=np.datetime64(day)))
        self.counts += counts(arriving, day)
        plays = arriving["plays"].only("number", "listener", "at", "damage")
        self.damaged.append(plays.at(plays["damage"] != NO_DAMAGE).plus(day=np.datetime64(day)))

    def close(self) -> dict[str, float | int | None]:
        """Write the rest; returns the oracle's AUC and what it was judged on."""
        world, people = self.world, self.world.people
        left = stacked(self.left).frame().select(
            listener_id=pl.col("listener") + 1, left_on="day", closed=pl.col("plan_to") < FREE
        )  # fmt: skip
        self._write("churn", left)
        self._write("counts", pl.DataFrame(self.counts))
        broken = stacked(self.damaged)
        damaged = broken.frame().select(
            arrived_on="day",
            play_id="number",
            listener_id=pl.col("listener") + 1,
            started_ms="at",
            damage=words(broken["damage"], DAMAGES),
        )
        self._write("damaged", damaged)
        tastes = {f"taste_{g}": people.taste[:, k] for k, g in enumerate(GENRES)}
        self._write(
            "listeners",
            pl.DataFrame(
                {
                    "listener_id": range(1, len(people) + 1),
                    "is_bot": people.is_bot,
                    "engagement": people.engagement,
                    "usual_satisfaction": people.usual_satisfaction,
                    "satisfaction": people.satisfaction,
                    "price_sense": people.price_sense,
                    **tastes,
                }
            ),
        )
        catalogue = world.catalogue
        self._write(
            "tracks",
            pl.DataFrame(
                {
                    "track_id": range(1, len(catalogue.title) + 1),
                    "weight": catalogue.weight,
                    "quality": catalogue.quality,
                    "released_day": catalogue.released,
                }
            ),
        )
        with whole(self.folder / "effects.json") as half:
            half.write_text(json.dumps(_effects(world), indent=2) + "\n")
        judged = self._judge(left)
        self._write("oracle", pl.DataFrame([judged]))
        return judged

    def _judge(self, left: pl.DataFrame) -> dict[str, float | int | None]:
        """The oracle against what came to pass, on Mondays whose horizon has ended."""
        end = self.world.date
        mondays = [
            d
            for n in range(self.world.day)
            if (d := self.world.config.start + timedelta(days=n)).weekday() == 0
            and d + timedelta(days=HORIZON_DAYS) <= end
        ]
        if not mondays:
            return {"rows": 0, "churned": 0, "churn_share": None, "auc": None}
        said = pl.concat(
            [pl.read_parquet(self.folder / f"hazards/{d}.parquet", glob=False) for d in mondays]
        )
        until = pl.col("as_of_date").dt.offset_by(f"{HORIZON_DAYS}d")
        churned = (
            said.join(left, on="listener_id")
            .filter((pl.col("left_on") >= pl.col("as_of_date")) & (pl.col("left_on") < until))
            .select("listener_id", "as_of_date", is_churned=True)
            .unique()
        )
        judged = said.join(
            churned, on=["listener_id", "as_of_date"], how="left", maintain_order="left"
        )
        truth = judged["is_churned"].fill_null(False).to_numpy()
        return {
            "rows": len(judged),
            "churned": int(truth.sum()),
            "churn_share": float(truth.mean()),
            "auc": auc(judged["churn_probability"].to_numpy(), truth),
        }

    def _write(self, name: str, frame: pl.DataFrame) -> None:
        with whole(self.folder / f"{name}.parquet") as half:
            frame.write_parquet(half)


def _effects(world: World) -> dict[str, object]:
    """The true effects an estimate can be held against."""
    drift = world.config.drift.get(world.profile.id)
    return {
        "tenant_id": world.profile.id,
        "seed": world.config.seed,
        "upgrade_log_hazard_of_a_fresh_touch": dict(
            zip(CHANNELS, TOUCH_EFFECT.tolist(), strict=True)
        ),
        "reach_a_day": dict(zip(CHANNELS, REACH.tolist(), strict=True)),
        "cost_micros": dict(zip(CHANNELS, COST_MICROS.tolist(), strict=True)),
        "upgrade_hazard_ratio_of_treatment": {name: lift for name, _, lift in EXPERIMENTS},
        "drifts_from": drift.isoformat() if drift else None,
        "bot_mimicry": world.config.bot_mimicry,
    }
