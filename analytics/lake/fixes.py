"""What people write to mend rows that were set aside, and these rows as it makes them.

A fix is bound to source rows in quarantine. From then on every run that judges such a row
takes it so: as text, as it came; the fix's values put in; read again as the source and the
fix declare it. Bronze keeps what came, and a file that comes anew is not bound.

Surprises a row that is broken text or was too long to be kept whole cannot be mended so,
          and stays what it was. A row that does not fit its types even now is a reject.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from analytics.errors import SettingsError
from analytics.lake import anew, quarantine
from analytics.lake.lineage import ORIGIN, REJECTS
from analytics.settings import Settings
from analytics.sources import reader
from analytics.sources.base import Unit
from analytics.sources.json_lines import parsed
from analytics.sources.typed import typed_batch
from analytics.tenants import Source, Tenant

ROW = ["_file", "_file_hash", "_row"]
KEY = ["file", "file_hash", "row_number"]  # the same in quarantine


class Fix(BaseModel):
    """What differs, for the rows it is bound to, from the source's declaration."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    values: dict[str, dict[str, str]] = Field(
        default_factory=dict, description="column: {as it came: what it means}; '' is no value"
    )
    constants: dict[str, str] = Field(
        default_factory=dict, description="column: its value, whatever came"
    )
    columns: dict[str, str] = Field(default_factory=dict, description="canonical: theirs")
    units: dict[str, str] = Field(default_factory=dict, description="canonical: their unit")

    @property
    def text(self) -> str:
        return json.dumps(self.model_dump(exclude_defaults=True), sort_keys=True)

    def declared(self, source: Source) -> Source:
        """The source as the fix has it declared."""
        columns = {**source.columns, **self.columns}
        unmapped = {c: v for c, v in self.constants.items() if source.table and c not in columns}
        return source.model_copy(
            update={
                "columns": columns,
                "units": {**source.units, **self.units},
                "constants": {**source.constants, **unmapped},
            }
        )

    def put(self, rows: pl.DataFrame, source: Source) -> pl.DataFrame:
        """The rows, as text, with the values the fix knows better."""
        for name, meanings in self.values.items():
            column = pl.col(source.columns.get(name, name))
            came = column.fill_null("")
            told = {old: new or None for old, new in meanings.items()}
            meant = came.replace_strict(told, default=None, return_dtype=pl.String)
            rows = rows.with_columns(
                pl.when(came.is_in(list(meanings))).then(meant).otherwise(column)
            )
        return rows.with_columns(
            pl.lit(value).alias(source.columns.get(name, name))
            for name, value in self.constants.items()
            if source.columns.get(name, name) in rows.columns
        )


@dataclass(frozen=True)
class Rows:
    """What came of a source: bronze rows by the declaration that reads them, and rejects."""

    bronze: list[tuple[Source, pl.DataFrame]]
    rejects: pl.DataFrame


def mark(text: str) -> str:
    """A fix's name: a hash of what it says."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def read(path: Path, tenant: Tenant) -> dict[str, Fix]:
    """The fixes of a YAML file by source. Raises SettingsError with every fault."""
    known = {source.name: source for source in (*tenant.sources, *tenant.by_hand)}
    found: dict[str, Fix] = {}
    problems: list[str] = []
    for name, entry in _document(path).items():
        label = f"{path}: source {name}"
        if name not in known:
            problems.append(f"{label}: {tenant.id} has none of that name; {', '.join(known)}")
            continue
        try:
            found[name] = Fix.model_validate(entry)
        except ValidationError as error:
            problems += [
                f"{label}: {'.'.join(map(str, e['loc'])) or 'entry'}: {e['msg']}"
                for e in error.errors()
            ]
            continue
        problems += [f"{label}: {what}" for what in _faults(found[name], known[name])]
    if problems:
        raise SettingsError("\n".join(problems))
    return found


def bound(settings: Settings, tenant_id: str) -> pl.DataFrame:
    """The source rows that have a fix, and the fix."""
    rows = quarantine.scan(settings, tenant_id).filter(pl.col("fix").is_not_null())
    return rows.select(*quarantine.SOURCE_ROW, "fix").unique().collect()


def fixed(
    tenant: Tenant,
    source: Source,
    bronze: pl.DataFrame | None,
    rejects: pl.DataFrame,
    bound: pl.DataFrame,
) -> Rows:
    """What came, with the rows that are bound to a fix as it makes them."""
    mine = bound.filter(pl.col("source") == source.name)
    if mine.is_empty():
        return Rows([] if bronze is None else [(source, bronze)], rejects)
    rows = pl.DataFrame(schema=anew.columns_of(source)) if bronze is None else bronze
    apart = []
    for (text,), which in mine.group_by("fix", maintain_order=True):
        fix = Fix.model_validate_json(str(text))
        which = which.select(pl.col(c).alias(r) for c, r in zip(KEY, ROW, strict=True))
        texts = pl.concat(
            [_as_text(rows.join(which, on=ROW, how="semi")), _raw(source, rejects, which)],
            how="diagonal",
        )
        rows = rows.join(texts, on=ROW, how="anti", maintain_order="left")
        rejects = rejects.join(
            texts, left_on=["file", "file_hash", "row"], right_on=ROW, how="anti",
            maintain_order="left",
        )  # fmt: skip
        declared = fix.declared(source)
        made, bad = _read_again(tenant, declared, fix.put(texts, declared))
        rejects = pl.concat([rejects, bad])
        if declared == source:
            rows = pl.concat([rows, made.select(rows.columns)])
        else:
            apart.append((declared, made))
    return Rows([(source, rows), *apart], rejects)


def _as_text(rows: pl.DataFrame) -> pl.DataFrame:
    own = [c for c in rows.columns if c != "tenant_id" and c not in ORIGIN]
    return rows.select(pl.col(own).cast(pl.String), *ORIGIN)


def _raw(source: Source, rejects: pl.DataFrame, which: pl.DataFrame) -> pl.DataFrame:
    """Rejected rows as text, those that were kept whole."""
    schema = reader(source.format).schema(source)
    mine = rejects.select("raw", *(pl.col(o.removeprefix("_")).alias(o) for o in ORIGIN)).join(
        which, on=ROW, how="semi"
    )
    mine = mine.unique(ROW, keep="first", maintain_order=True).filter(pl.col("raw").is_not_null())
    if source.table is None:  # one that names all its columns in every row
        named = [pl.col("raw").str.contains(f'"{c}":', literal=True) for c in schema]
        mine = mine.filter(pl.all_horizontal(named))
    lines = [text.encode() for text in mine["raw"]]
    texts = parsed(0, lines, schema)[0].rename({"_row": "_line"})
    origin = mine.drop("raw").with_row_index("_line").cast({"_line": pl.Int64})
    return texts.join(origin, on="_line", maintain_order="left").drop("_line")


def _read_again(
    tenant: Tenant, source: Source, texts: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows typed as the source declares them, and the rejects of those that do not fit."""
    handler = reader(source.format)
    types, table = handler.schema(source), handler.feeds(source)[0]
    rows, bad = [pl.DataFrame(schema=anew.columns_of(source))], [pl.DataFrame(schema=REJECTS)]
    for (file, digest, arrived), part in texts.group_by(
        "_file", "_file_hash", "_arrived_on", maintain_order=True
    ):
        unit = Unit(str(file), str(digest), arrived)  # type: ignore[arg-type]
        batch = typed_batch(
            tenant, source, table, unit, part.drop("_file", "_file_hash", "_arrived_on"), types
        )
        rows.append(batch.rows)
        bad.append(batch.rejects)
    return pl.concat(rows), pl.concat(bad)


def _faults(fix: Fix, source: Source) -> list[str]:
    """What is wrong with a fix for this source."""
    from analytics.sources.faults import faults  # loads every kind of reader

    declared = fix.declared(source)
    there = sorted(reader(source.format).schema(source))
    if source.table is None:
        found = [
            f"{field}: format {source.format} has no mapping; use `values` or `constants`"
            for field in ("columns", "units")
            if getattr(fix, field)
        ]
    else:
        found = [f"{field}: {what}" for field, what in faults(declared)]
        found += [
            f"columns: {theirs} is in no row that bronze holds ({', '.join(there)}); correct "
            "`columns` in the tenants file, and a replay reads the files anew"
            for theirs in fix.columns.values()
            if theirs not in there
        ]
    # A constant of a mapped table may also fill a column that nothing is mapped to.
    named = [("values", name) for name in fix.values]
    named += [("constants", name) for name in fix.constants if source.table is None]
    return found + [
        f"{field}: {source.format} has no column {name!r}; it has {', '.join(there)}"
        for field, name in named
        if declared.columns.get(name, name) not in there
    ]


def _document(path: Path) -> dict[str, Any]:
    """The file's mapping, every value as the text it is written as: no is no, 007 is 007."""
    try:
        text = path.read_text(encoding="utf-8")
        found = yaml.load(text, Loader=yaml.BaseLoader)  # makes texts, lists and maps alone
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"--fix {path} cannot be read ({error})") from None
    except yaml.YAMLError as error:
        raise SettingsError(f"--fix {path} is no YAML: {' '.join(str(error).split())}") from None
    if not isinstance(found, dict) or not found:
        raise SettingsError(
            f"--fix {path} must map sources to fixes, e.g. "
            'payments: {values: {currency: {"€": EUR}}}'
        )
    return found
