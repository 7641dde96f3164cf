"""`smbd-uring status`: what a running server is doing, for people or as JSON.

Knows: how to lay out a table.  Must not know: where the figures come from.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from smbd_uring.cli.control_client import ControlError, find_server, request


def main(argv: list[str]) -> int:
    """Run the command.  Result: 0 when a server answered, else 1."""
    parser = argparse.ArgumentParser(prog="smbd-uring status", description="What a running server is doing.")
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.add_argument("--state-dir", metavar="DIR", help="whose server (default: the only one running)")
    options = parser.parse_args(argv)
    try:
        status = request(find_server(options.state_dir), {"command": "status"})
    except ControlError as error:
        print(f"smbd-uring status: {error}", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps(status, indent=2, sort_keys=True))
    else:
        for title, columns, rows in tables(status):
            _print_table(title, columns, rows)
    return 0


def tables(status: dict[str, Any]) -> Iterable[tuple[str, list[str], list[list[str]]]]:
    """Cut a status answer into tables: one of all plain values, and one for each list of objects.

    Yields (title, column names, rows).
    """
    plain = [[name, _cell(value)] for name, value in status.items() if not _is_listing(value)]
    yield "server", ["what", "value"], plain
    for name, value in status.items():
        if _is_listing(value):
            columns = list(value[0])
            yield name, columns, [[_cell(row.get(column)) for column in columns] for row in value]


def _is_listing(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _cell(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_cell(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(map(_cell, value))
    return "-" if value is None else str(value)


def _print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    try:
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        print("\n".join([title, "\t".join(columns), *("\t".join(row) for row in rows), ""]))
        return
    table = Table(*columns, title=title, title_justify="left")
    for row in rows:
        table.add_row(*row)
    Console().print(table)
