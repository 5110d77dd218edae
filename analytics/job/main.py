"""Stack, data, then one chain of DAG runs after another, each waited for."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from analytics.errors import AnalyticsError, StackError
from analytics.interval import Interval
from analytics.job.outcome import outcome_table
from analytics.job.progress import ChainView, steps_shown
from analytics.settings import Settings, load_settings
from analytics.stack import AirflowClient, Endpoints, up
from analytics.stack.addresses import logins
from analytics.stack.airflow_client import Run
from analytics.tenants import registry

DAGS = ("ingest", "features", "transform", "score", "monitor", "train")
CHAIN_SECONDS = 3600


@dataclass(frozen=True)
class Step:
    """One chain: what `ingest` is triggered with, and why."""

    title: str
    interval: Interval
    tenants: tuple[str, ...] | None = None  # None: all of them


def run_sample(settings: Settings, console: Console) -> None:
    """Three simulated tenants: their history, a normal day, a day on which one drifts."""
    from analytics.simulate.config import SAMPLE_DAYS, SAMPLE_START

    addresses = _start(settings, console)
    _simulate(settings, console)
    drift_day = SAMPLE_START + timedelta(days=SAMPLE_DAYS - 1)
    normal_day = drift_day - timedelta(days=1)
    steps = (
        Step(f"history {SAMPLE_START} to {normal_day}", Interval.of(SAMPLE_START, normal_day)),
        Step(f"a normal day, {normal_day}", Interval.day(normal_day)),
        Step(f"a day of drift, {drift_day}", Interval.day(drift_day)),
    )
    _run_chains(settings, console, steps)
    _close(settings, console, addresses)


def run_on(settings: Settings, folder: Path, console: Console) -> None:
    """A folder of real exports: each subfolder is a tenant, the interval is the data's own."""
    from analytics.sources.sniff import extent, tenants_from_folder

    settings = settings_for(settings, folder)
    settings.var.mkdir(parents=True, exist_ok=True)
    tenants = tenants_from_folder(folder, settings.analytics_tenants_file)
    for tenant in tenants.values():
        found = ", ".join(f"{s.name} ({s.format})" for s in tenant.sources)
        console.print(f"[bold]{tenant.id}[/]: {found}")
    addresses = _start(settings, console)
    steps = [
        Step(f"{tenant.id}, {span.start:%Y-%m-%d} to {span.end:%Y-%m-%d}", span, (tenant.id,))
        for tenant in tenants.values()
        for span in [_whole_days(extent(settings, tenant))]
    ]
    _run_chains(settings, console, steps)
    _close(settings, console, addresses)


def settings_for(settings: Settings, folder: Path) -> Settings:
    """A world of its own for that folder: own lake, warehouse and tenants file under var/."""
    if not folder.is_dir():
        raise AnalyticsError(f"{folder} is no folder; give one whose subfolders are tenants")
    mark = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:8]
    var = settings.var / f"data-{mark}"
    return settings.model_copy(
        update={"analytics_var_dir": var, "analytics_tenants_file": var / "tenants.yaml"}
    )


def _start(settings: Settings, console: Console) -> Endpoints:
    with console.status("starting the stack") as status:
        addresses = up(settings, lambda step, word: status.update(f"stack: {step} {word}"))
    console.print("[green]✓[/] the stack is up")
    with AirflowClient(settings) as client, console.status("Airflow reads the DAGs"):
        client.wait_for_dags(*DAGS, seconds=180)
    return addresses


def _simulate(settings: Settings, console: Console) -> None:
    """The sample's landing files and tables; left alone when they are there already."""
    from analytics.simulate.config import SimulationConfig
    from analytics.simulate.operational import dsn_of
    from analytics.simulate.run import simulate
    from analytics.simulate.side_by_side import workers_for

    config = SimulationConfig()
    stamp, wanted = settings.landing / ".simulated.json", config.model_dump_json()
    if stamp.exists() and stamp.read_text() == wanted:
        console.print("[green]✓[/] the simulated data is there already")
        return
    dsns = {
        p.id: dsn_of(settings.secrets, p.dsn_secret, p.id) for p in config.tenants if p.dsn_secret
    }
    days = TimeElapsedColumn()
    with Progress(TextColumn("simulating {task.description}"), BarColumn(), days) as bars:
        bar = bars.add_task("", total=config.days * len(config.tenants))
        report = simulate(
            config,
            settings.landing,
            settings.var / "truth",
            dsns,
            lambda tenant_id, day: bars.update(bar, advance=1, description=f"{tenant_id}, {day}"),
            workers=workers_for(len(config.tenants)),
        )
    stamp.write_text(wanted)
    console.print(f"[green]✓[/] simulated {report.plays:,} plays of {len(config.tenants)} tenants")


def _run_chains(settings: Settings, console: Console, steps: Sequence[Step]) -> None:
    """Trigger `ingest` for each step and wait until the chain it sets off has ended.

    Raises StackError naming the runs that ended red.
    """
    red: list[Run] = []
    with AirflowClient(settings) as client, steps_shown(console, [s.title for s in steps]) as view:
        for number, step in enumerate(steps):
            tenants = list(step.tenants) if step.tenants else None
            conf = {
                "tenants": tenants,
                "from": step.interval.start.date().isoformat(),
                "to": step.interval.end.date().isoformat(),
            }
            run_id = client.trigger("ingest", conf)
            view.begin(number)
            runs = client.wait_chain(
                "ingest",
                run_id,
                seconds=CHAIN_SECONDS,
                seen=ChainView(client, view, number),
                every=2.0,
            )
            view.end(number, runs)
            red += [run for run in runs if run.state == "failed"]
    if red:
        named = ", ".join(f"{run.dag_id} ({run.run_id})" for run in red)
        raise StackError(
            f"these runs ended red: {named}; open them in Airflow, the log of the red task says "
            "why and docs/runbooks/ what to do. What was green is published."
        )


def _close(settings: Settings, console: Console, addresses: Endpoints) -> None:
    from analytics.report.cli import make_report, write_page
    from analytics.warehouse import dbt

    with console.status("writing reports and the dbt docs"):
        dbt.docs(settings)
        for tenant_id in registry(settings):
            write_page(settings, make_report(settings, tenant_id))
    console.print(outcome_table(settings))
    first = next(iter(registry(settings)))
    there = _named(settings)
    where = {
        **logins(settings, addresses),
        "dbt docs": f"{addresses.docs_url}/dbt/",
        "data docs": f"{addresses.docs_url}/data-docs/",
        "reports": f"{addresses.docs_url}/reports/",
        "SQL": f'{there}analytics sql --tenant {first} "table serve.daily_listening limit 5"',
        "stop": f"{there}make down",
    }
    console.print()
    for name, text in where.items():
        console.print(f"{name:<10} {text}", highlight=False, soft_wrap=True)


def _named(settings: Settings) -> str:
    """What a command needs before it to mean this world and not the usual one."""
    usual = load_settings()
    names = ("analytics_var_dir", "analytics_tenants_file")
    return "".join(
        f"{name.upper()}={shlex.quote(str(getattr(settings, name)))} "
        for name in names
        if getattr(settings, name) != getattr(usual, name)
    )


def _whole_days(span: Interval) -> Interval:
    last = span.days()[-1]
    return Interval.of(span.start.date(), last + timedelta(days=1) if last else date.max)
