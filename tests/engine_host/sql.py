"""SQL queries of the written lines with DataFusion, the query engine of InfluxDB 3."""

from collections.abc import Iterable
from typing import Any

import datafusion
import pyarrow as pa

from tests.engine_host.line_protocol import Point, parse_line

TYPES = {
    "tag": pa.dictionary(pa.int32(), pa.string()),
    "field::string": pa.string(),
    "field::integer": pa.int64(),
    "field::uinteger": pa.uint64(),
    "field::float": pa.float64(),
    "field::boolean": pa.bool_(),
}
"""InfluxDB 3's column types."""


def session(lines: Iterable[str]) -> datafusion.SessionContext:
    """A session with the tables of the lines. Timestamps are in nanoseconds."""
    tables: dict[str, list[Point]] = {}
    for point in map(parse_line, lines):
        tables.setdefault(point.table, []).append(point)
    context = datafusion.SessionContext()
    for name, points in tables.items():
        batches = _table(points).combine_chunks().to_batches()
        context.register_record_batches(name, [batches])
    return context


def _table(points: list[Point]) -> pa.Table:
    kinds: dict[str, str] = {}
    for point in points:
        kinds |= {name: kind for name, (kind, _) in point.columns.items()}
    columns: dict[str, Any] = {}
    for name, kind in kinds.items():
        values = [point.columns[name][1] if name in point.columns else None for point in points]
        # A cast from text makes the dictionary.
        columns[name] = pa.array(values, pa.string() if kind == "tag" else TYPES[kind]).cast(TYPES[kind])
    columns["time"] = pa.array([point.timestamp for point in points], pa.timestamp("ns"))
    return pa.table(columns)
