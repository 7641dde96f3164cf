"""Nothing is left: once the clients are gone the engine's tables are as they were, and every descriptor is closed.

Knows: that an engine is made of objects with attributes, whatever they are called.  Must not know: what they mean.

All of the engine's own objects are walked through and every container's size is taken, so that a table that is new
tomorrow is looked at without anybody thinking of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.engine.servers import SimulatedServer

PARTS = ("smbd_uring.engine",)
MAY_GROW = (".request_counts", "._unused_volatiles", "._timers", ".logon_delays", "._complaints")
"""Counters, stocks, and what goes by itself after a time."""
CONTAINERS = (dict, set, list)
DEPTH_MAX = 6


def sizes(server: SimulatedServer) -> dict[str, int]:
    """How much each of the engine's tables holds, by where it is."""
    found: dict[str, int] = {}
    for path, size in _walk(server.engine, "engine", set(), 0):
        if not path.endswith(MAY_GROW):
            found[path] = size
    return found


def check(server: SimulatedServer, before: dict[str, int]) -> Iterator[str]:
    """What is left that was not there before the first client."""
    for path, size in sizes(server).items():
        if size > before.get(path, 0):
            yield f"{path} holds {size}, before the storm {before.get(path, 0)}"
    if server.engine.opens.count:
        yield f"{server.engine.opens.count} opens are counted"
    if server.engine.tree_count:
        yield f"{server.engine.tree_count} trees are counted"
    kernel, driver = server.world.kernel, server.driver
    if kernel.open_files:
        yield f"descriptors {sorted(kernel.open_files)} are open"
    if driver.in_flight:
        yield f"{driver.in_flight} effects are under way"


def _walk(thing: Any, path: str, seen: set[int], depth: int) -> Iterator[tuple[str, int]]:
    if id(thing) in seen or depth > DEPTH_MAX:
        return
    seen.add(id(thing))
    for name in _attributes(thing):
        value = getattr(thing, name, None)
        if isinstance(value, CONTAINERS):
            yield f"{path}.{name}", len(value)
        elif type(value).__module__.startswith(PARTS):
            yield from _walk(value, f"{path}.{name}", seen, depth + 1)


def _attributes(thing: Any) -> list[str]:
    slots = [name for kind in type(thing).__mro__ for name in getattr(kind, "__slots__", ())]
    return [*slots, *getattr(thing, "__dict__", {})]
