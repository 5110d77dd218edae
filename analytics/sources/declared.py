"""Tables whose columns a tenant declares: `columns`, `units` and `constants` of a source."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import polars as pl

from analytics.errors import SchemaError, SettingsError
from analytics.lake.extras import packed
from analytics.lake.lineage import ORIGIN
from analytics.lake.tables import EXTRAS, TABLES, Table
from analytics.sources.base import Unit
from analytics.sources.shape import canonical, epoch, identified
from analytics.tenants import Source, Tenant

DataType = pl.DataType | type[pl.DataType]

# unit → (type it is read as, factor to ours); instants have none.
MEASURES: dict[str, tuple[DataType, int]] = {
    "ms": (pl.Int64, 1),
    "seconds": (pl.Float64, 1000),
    "minutes": (pl.Float64, 60_000),
    "minor": (pl.Int64, 1),
    "major": (pl.Float64, 100),
    "micros": (pl.Int64, 1),
}
CLOCKS: dict[str, tuple[DataType, int]] = {
    "epoch_ms": (pl.Int64, 1000),
    "epoch_s": (pl.Float64, 1_000_000),
    "epoch_us": (pl.Int64, 1),
}
# how a column's name ends → the units it may come in
UNITS = {
    "_ms": ("ms", "seconds", "minutes"),
    "_minor": ("minor", "major"),
    "_micros": ("micros",),
}


def table_of(tenant: Tenant, source: Source) -> Table:
    """The table the source feeds. Raises SettingsError for a declaration that cannot work."""
    found = [what for _, what in faults(source)]
    if found:
        raise SettingsError("\n".join(f"{tenant.id}: source {source.name}: {w}" for w in found))
    return TABLES[source.table or ""]


def faults(source: Source) -> Iterator[tuple[str, str]]:
    """(field, what is wrong with it) of the mapping."""
    if source.table not in TABLES:
        yield "table", f"`table` must be one of {', '.join(TABLES)}, not {source.table!r}"
        return
    table = TABLES[source.table]
    for field in ("columns", "constants", "units"):
        unknown = sorted(set(getattr(source, field)) - set(table.columns))
        if unknown:
            yield (
                field,
                (
                    f"{table.name} has no column {', '.join(unknown)}; it has "
                    f"{', '.join(table.columns)}"
                ),
            )
    given = {*source.columns, *source.constants}
    missing = sorted(set(table.required) - given - {"tenant_id", table.key})
    if missing:
        yield "columns", f"{table.name} needs `columns` for {', '.join(missing)}"
    for theirs in sorted({"tenant_id", *ORIGIN}.intersection(source.columns.values())):
        yield "columns", f"bronze has a column {theirs} of its own; give theirs another name first"
    for theirs in sorted({"tenant_id", *ORIGIN}.intersection(source.extras)):
        yield "extras", f"bronze has a column {theirs} of its own; give theirs another name first"
    for theirs in sorted(set(source.extras) & set(source.columns.values())):
        yield "extras", f"{theirs} has a place in `columns` already"
    for column in sorted(set(source.columns) & set(source.constants)):
        yield "constants", f"{column} has a place in `columns` already"
    for column, value in source.constants.items():
        if column in table.columns and not _is_a(table.columns[column], value):
            yield "constants", f"{column} cannot be {value!r}; it is {table.columns[column]}"
    for column, unit in source.units.items():
        if column in table.columns and unit not in (known := _units(table, column)):
            yield "units", f"{column} cannot be in {unit!r}; known: {', '.join(known)}"


def _units(table: Table, column: str) -> tuple[str, ...]:
    if isinstance(table.columns[column], pl.Datetime):
        return (*CLOCKS, "iso")
    return next((units for ending, units in UNITS.items() if column.endswith(ending)), ("iso",))


def _is_a(dtype: DataType, value: Any) -> bool:
    try:
        pl.select(pl.lit(value).cast(dtype))
    except (pl.exceptions.PolarsError, TypeError, ValueError):
        return False
    return True


def lacks(source: Source) -> frozenset[str]:
    """What the table would like to know and the declaration does not give."""
    return frozenset(TABLES[source.table or ""].knowable) - {*source.columns, *source.constants}


def types(source: Source) -> dict[str, DataType]:
    """Their column → the type it has in bronze: ours, that of its declared unit, text if extra."""
    table = TABLES[source.table or ""]
    wanted: dict[str, DataType] = {}
    for ours, theirs in source.columns.items():
        unit = source.units.get(ours, "iso")
        dtype = {**MEASURES, **CLOCKS}[unit][0] if unit != "iso" else table.columns[ours]
        wanted.setdefault(theirs, dtype)
    return wanted | dict.fromkeys(source.extras, pl.String)


def require_columns(tenant: Tenant, source: Source, unit: Unit | str, there: list[str]) -> None:
    """Raise SchemaError when a declared column that the table may not lack did not come.

    With compatibility `none` the gate tells, unless nothing at all can be read.
    """
    table = table_of(tenant, source)
    if source.compatibility == "none" and set(types(source)) & set(there):
        return
    never_null = (*table.required, *table.knowable)
    needed = {ours: source.columns[ours] for ours in never_null if ours in source.columns}
    missing = [f"{theirs} (our {ours})" for ours, theirs in needed.items() if theirs not in there]
    if missing:
        where = unit if isinstance(unit, str) else unit.name
        raise SchemaError(
            f"{tenant.id}: source {source.name}: {where} came without {', '.join(missing)}; it has "
            f"{', '.join(there) or 'no columns'}. Nothing of it was taken; ask its owner "
            f"({source.owner}) or correct `columns` in the tenants file"
        )


def conform(tenant: Tenant, source: Source, bronze: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """The declared table. Without a declared key, the key is the hash of all that is mapped."""
    table = table_of(tenant, source)
    given = {ours: _ours(source, table, ours, theirs) for ours, theirs in source.columns.items()}
    for ours, value in source.constants.items():
        given[ours] = pl.lit(value).cast(table.columns[ours])
    if table.key not in given:
        parts = [pl.col(theirs) for theirs in source.columns.values()]
        bronze = identified(bronze, "_id", parts)
        given[table.key] = pl.col("_id")
    if source.extras:
        given[EXTRAS] = packed(source.extras)
    return {table.name: canonical(table.name, tenant, source, bronze, given)}


def _ours(source: Source, table: Table, ours: str, theirs: str) -> pl.Expr:
    unit = source.units.get(ours, "iso")
    if unit in CLOCKS:
        return epoch(pl.col(theirs), CLOCKS[unit][1])
    if unit in MEASURES:
        return (pl.col(theirs) * MEASURES[unit][1]).round().cast(table.columns[ours])
    return pl.col(theirs)
