"""One hash per table and tenant that tells whether anything changed.

It sees every column but the run stamps, and neither the order of the rows nor
the layout of the files: each row is hashed over its canonical text, and the row
hashes are summed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import duckdb
import pyarrow as pa
from deltalake import DeltaTable
from pyarrow import fs

from analytics.lake import delta, paths
from analytics.lake.tables import RUN_STAMPS
from analytics.settings import Settings


def content_hash(settings: Settings) -> dict[tuple[str, str], str]:
    """(table as a path under the lake's root, tenant) → hash; the same for the same rows."""
    hashes: dict[tuple[str, str], str] = {}
    for name in tables(settings):
        if name == paths.SNAPSHOTS:  # versions and runs, no rows of anybody
            continue
        table = delta.open_table(f"{settings.lake_root}/{name}")
        if table is not None:
            hashes.update({(name, tenant): found for tenant, found in _hashes(table)})
    return dict(sorted(hashes.items()))


def tables(settings: Settings) -> list[str]:
    """Every Delta table under the lake's root, by its path below it."""
    if "://" in settings.lake_root:
        store, root = fs.FileSystem.from_uri(settings.lake_root)
    else:
        store, root = fs.LocalFileSystem(), settings.lake_root
    return sorted(_below(store, root, ""))


def _below(store: fs.FileSystem, root: str, path: str) -> Iterator[str]:
    folder = f"{root}/{path}".rstrip("/")
    entries = store.get_file_info(fs.FileSelector(folder, allow_not_found=True))
    folders = [entry.base_name for entry in entries if entry.type == fs.FileType.Directory]
    if "_delta_log" in folders:
        yield path
        return
    for name in folders:
        yield from _below(store, root, f"{path}/{name}".lstrip("/"))


def _hashes(table: DeltaTable) -> Iterator[tuple[str, str]]:
    rows = table.to_pyarrow_dataset()
    if "tenant_id" not in rows.schema.names:
        return
    columns = sorted(c for c in rows.schema.names if c not in RUN_STAMPS)
    parts = ", ".join(_text(c, rows.schema.field(c).type) for c in columns)
    query = (
        f"select tenant_id, count(*), sum(md5_number_lower(line)), sum(md5_number_upper(line)) "  # noqa: S608
        f"from (select tenant_id, concat_ws(chr(31), {parts}) as line from rows) group by tenant_id"
    )
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        connection.register("rows", rows)
        found = connection.execute(query).fetchall()
    head = "|".join(columns)
    for tenant, count, lower, upper in found:
        text = f"{head}|{count}|{lower}|{upper}"
        yield tenant, hashlib.sha256(text.encode()).hexdigest()[:32]


def _text(column: str, dtype: pa.DataType) -> str:
    name = '"' + column.replace('"', '""') + '"'
    if pa.types.is_timestamp(dtype):
        name = f"epoch_us({name})"
    elif pa.types.is_floating(dtype):
        name = f"({name} + 0.0)"  # minus zero is zero
    return f"coalesce({name}::varchar, chr(0))"
