"""Rounds as tables in Markdown, to be read in a terminal and to be pasted into a document.

Knows: medians, ratios, what is wanted.  Must not know: how anything was measured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from statistics import median

from smbd_uring.perf.contenders import Figures
from smbd_uring.perf.ratios import Ratio, ratio
from smbd_uring.perf.rounds import Job, Round, of, series

Wanted = Callable[[Job, str], float | None]
"""wanted(job, other contender): the ratio at most, None where nothing is asked."""


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table with columns as wide as their longest cell, the first one to the left and the others to the right."""
    cells = [list(head), *(list(row) for row in rows)]
    widths = [max(3, *(len(row[column]) for row in cells)) for column in range(len(head))]

    def line(row: Sequence[str]) -> str:
        first, *others = row
        padded = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))]
        return f"| {' | '.join(padded)} |"

    rule = [("-" * widths[0]), *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([line(cells[0]), f"| {' | '.join(rule)} |", *(line(row) for row in cells[1:])])


def cpu_table(rounds: Sequence[Round], ours: str, other: str, wanted: Wanted) -> str:
    """CPU time per operation of two contenders, the ratio with its spread, what is wanted and whether it is met.

    Jobs that `other` did not do are left out.
    """
    rows = []
    for job in jobs_of(rounds):
        theirs = of(rounds, job, other)
        if not theirs:
            continue
        mine = of(rounds, job, ours)
        compared = ratio(series(mine, cpu), series(theirs, cpu))
        rows.append([
            job.workload.label, number(middle(mine, cpu)), number(middle(theirs, cpu)),
            *_ratio_cells(compared, wanted(job, other)),
        ])  # fmt: skip
    return markdown(["CPU us per operation", ours, other, "ratio", "spread", "at most", "met"], rows)


def throughput_table(rounds: Sequence[Round], names: Sequence[str]) -> str:
    """Operations and bytes a second and latencies of each contender, medians over the rounds."""
    rows = []
    for job in jobs_of(rounds):
        for name in names:
            mine = of(rounds, job, name)
            if mine:
                rows.append([
                    job.workload.label, name, number(middle(mine, lambda one: one.operations_per_s)),
                    number(middle(mine, lambda one: one.megabytes_per_s)),
                    *(number(middle(mine, latency)) for latency in LATENCIES.values()),
                ])  # fmt: skip
    return markdown(["throughput", "server", "operations/s", "MB/s", *(f"{name} us" for name in LATENCIES)], rows)


LATENCIES: dict[str, Callable[[Figures], float | None]] = {
    "p50": lambda one: one.p50_us,
    "p95": lambda one: one.p95_us,
    "p99": lambda one: one.p99_us,
    "max": lambda one: one.max_us,
}


def complaints(rounds: Iterable[Round]) -> list[str]:
    """A line for each round that was not clean; their figures are in the tables where they have any."""
    return [
        f"{one.contender}, {one.job.workload.label} ({one.job.placement.name}), round {one.number + 1}: {one.complaint}"
        for one in rounds if one.complaint
    ]  # fmt: skip


def jobs_of(rounds: Iterable[Round]) -> list[Job]:
    """The jobs there are, in the order in which they were done."""
    return list(dict.fromkeys(one.job for one in rounds))


def middle(rounds: Sequence[Round], figure: Callable[[Figures], float | None]) -> float | None:
    """Median of one figure over the rounds that have it."""
    values = [value for one in rounds if one.figures is not None and (value := figure(one.figures)) is not None]
    return median(values) if values else None


def cpu(one: Figures) -> float:
    """The server's CPU time per operation, in us."""
    return one.cpu_us


def number(value: float | None) -> str:
    """Three digits that count, thousands with commas; a dash where there is nothing."""
    if value is None:
        return "-"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _ratio_cells(compared: Ratio | None, at_most: float | None) -> list[str]:
    limit = "-" if at_most is None else f"{at_most:.2f}"
    if compared is None:
        return ["-", "-", limit, "not measured"]
    met = "" if at_most is None else "yes" if compared.median <= at_most else "NO"
    return [f"{compared.median:.3f}", f"{compared.lowest:.2f}..{compared.highest:.2f}", limit, met]
