"""`analytics simulate`: the command line of the simulator."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from analytics.errors import AnalyticsError, SettingsError
from analytics.file_system import full, is_full
from analytics.settings import load_settings
from analytics.simulate.config import (
    SAMPLE_DAYS,
    SAMPLE_DRIFT,
    SAMPLE_SEED,
    SAMPLE_START,
    SimulationConfig,
)
from analytics.simulate.operational import dsn_of
from analytics.simulate.profiles import SAMPLE, Profile
from analytics.simulate.run import SimulationReport
from analytics.simulate.run import simulate as run_simulation
from analytics.simulate.side_by_side import workers_for


def simulate(
    seed: Annotated[int, typer.Option(help="equal seeds write equal bytes")] = SAMPLE_SEED,
    start: Annotated[str, typer.Option(help="first day, UTC")] = SAMPLE_START.isoformat(),
    days: Annotated[int, typer.Option(min=1, help="how many days")] = SAMPLE_DAYS,
    until: Annotated[
        str | None, typer.Option(help="last day, instead of --days; extends what is there")
    ] = None,
    listeners: Annotated[
        int | None, typer.Option(min=10, help="accounts a tenant on the first day")
    ] = None,
    scale: Annotated[float, typer.Option(help="multiplies the listeners of every tenant")] = 1.0,
    drift: Annotated[
        list[str] | None,
        typer.Option(
            help="TENANT:DATE, a broken client release from that day on; may be repeated; "
            "'none' for no drift (default: indie_radio:2025-08-30)"
        ),
    ] = None,
    late: Annotated[float, typer.Option(help="share of events one to three days late")] = 0.01,
    duplicates: Annotated[float, typer.Option(help="share of events sent twice")] = 0.005,
    damaged: Annotated[float, typer.Option(help="share of plays that arrive broken")] = 0.0005,
    bots: Annotated[float, typer.Option(help="share of accounts that are bots")] = 0.003,
    mimicry: Annotated[
        float, typer.Option(help="0: bots behave as bots, 1: as the listeners around them")
    ] = 0.2,
    tenants: Annotated[
        list[str] | None, typer.Option(help="only this tenant; may be repeated")
    ] = None,
    without: Annotated[
        list[str] | None, typer.Option(help="not this tenant; may be repeated")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="landing and truth go here instead of var/")
    ] = None,
) -> None:
    """Write months of a music service with known truth, for three sample tenants.

    spotify_premium hands over eventsim JSON lines and CSV, indie_radio Parquet
    drops, nordic_beats tables of an operational PostgreSQL. Files land in
    var/landing, the truth (hazards, effects, bots, counts) in var/truth, which
    no pipeline reads.

    Examples

      analytics simulate

      analytics simulate --until 2025-09-06

      analytics simulate --days 30 --scale 0.2 --without nordic_beats

      analytics simulate --drift none --damaged 0.005
    """
    settings = load_settings()
    first = _day("--start", start)
    profiles = _chosen(tenants, without)
    drifts = _drifts(drift, profiles)
    if until is not None:
        days = (_day("--until", until) - first).days + 1
    try:
        config = SimulationConfig(
            seed=seed, start=first, days=days, listeners=listeners, scale=scale, tenants=profiles,
            drift=drifts, late_share=late, duplicate_share=duplicates, damaged_share=damaged,
            bot_share=bots, bot_mimicry=mimicry,
        )  # fmt: skip
    except ValidationError as error:
        raise SettingsError("\n".join(map(_complaint, error.errors()))) from None
    dsns = {p.id: dsn_of(settings.secrets, p.dsn_secret, p.id) for p in profiles if p.dsn_secret}
    landing = out / "landing" if out else settings.landing
    truth = out / "truth" if out else settings.var / "truth"
    if out is not None:
        _make(out, landing, truth)
    try:
        report = _with_bar(config, landing, truth, dsns)
    except Exception as error:
        if is_full(error):
            raise AnalyticsError(full(landing)) from None
        raise
    _print(report, landing, truth)


app = typer.Typer(add_completion=False)
app.command()(simulate)


def _complaint(error: Any) -> str:
    """The field, where one alone is at fault, and what is wrong."""
    where = "".join(f"{part}: " for part in error["loc"])
    return where + str(error["msg"]).removeprefix("Value error, ")


def _make(out: Path, *folders: Path) -> None:
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise AnalyticsError(
                f"--out {out}: {folder} cannot be made ({error.strerror}); give another folder"
            ) from None


def _with_bar(
    config: SimulationConfig, landing: Path, truth: Path, dsns: dict[str, str]
) -> SimulationReport:
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed} days"))
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        tasks = {p.id: bar.add_task(p.id, total=config.days) for p in config.tenants}
        return run_simulation(
            config, landing, truth, dsns, lambda tenant_id, day: bar.advance(tasks[tenant_id]),
            workers=workers_for(len(config.tenants)),
        )  # fmt: skip


def _print(report: SimulationReport, landing: Path, truth: Path) -> None:
    table = Table("tenant", "days", "listeners", "plays", "churn of payers in 28 d",
                  "label positives", "oracle AUC", "plays/s")  # fmt: skip
    for t in report.tenants:
        table.add_row(
            t.tenant_id, str(t.days), f"{t.listeners:,}", f"{t.plays:,}",
            "-" if t.churn_share is None else f"{t.churn_share:.1%}", f"{t.label_positives:,}",
            "-" if t.oracle_auc is None else f"{t.oracle_auc:.3f}", f"{t.plays / t.seconds:,.0f}",
        )  # fmt: skip
    console = Console()
    console.print(table)
    console.print(
        f"{report.plays:,} plays in {report.seconds:.1f} s; data in {landing}, truth in {truth}"
    )


def _chosen(only: list[str] | None, without: list[str] | None) -> tuple[Profile, ...]:
    known = {p.id: p for p in SAMPLE}
    for name in (*(only or ()), *(without or ())):
        if name not in known:
            raise AnalyticsError(
                f"the simulator has no tenant {name!r}; it has: {', '.join(known)}"
            )
    chosen = tuple(p for p in SAMPLE if p.id in (only or known) and p.id not in (without or ()))
    if not chosen:
        raise AnalyticsError("no tenant is left to simulate; drop a --without")
    return chosen


def _drifts(given: list[str] | None, profiles: tuple[Profile, ...]) -> dict[str, date]:
    if given is None:
        return dict(SAMPLE_DRIFT)
    drifts = {}
    for entry in given:
        if entry == "none":
            continue
        tenant_id, _, day = entry.partition(":")
        if tenant_id not in {p.id for p in profiles}:
            raise AnalyticsError(
                f"--drift {entry}: no such tenant here; write TENANT:DATE with one of "
                f"{', '.join(p.id for p in profiles)}"
            )
        drifts[tenant_id] = _day("--drift", day)
    return drifts


def _day(option: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise AnalyticsError(f"{option}: {text!r} is not a day; write 2025-08-30") from None
