"""What `regress` shows: a table, and the charts of its picture.

Knows: verdicts and rounds.  Must not know: how they came about, how a chart is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence

from smbd_uring.perf.picture import Chart, Line, LineChart, RatioChart, RatioRow
from smbd_uring.perf.rounds import Round, of
from smbd_uring.perf.tables import LATENCIES, jobs_of, markdown, middle
from smbd_uring.perf.verdict import Verdict


def table(what: str, verdicts: Sequence[Verdict], against: str) -> str:
    """A line for each workload: the ratio to what it is compared with, spread, noise, what is allowed, the verdict."""
    rows = []
    for one in verdicts:
        if one.ratio is None:
            rows.append([one.job, "-", "-", "-", "-", "NOT COMPARED"])
            continue
        rows.append([
            one.job, f"{one.ratio.median:.3f}", f"{one.ratio.lowest:.3f}..{one.ratio.highest:.3f}", f"{one.noise:.1%}",
            f"{one.allowed:.3f}", "SLOWER" if one.slower else "ok",
        ])  # fmt: skip
    return markdown([what, f"to {against}", "spread", "noise", "allowed", "verdict"], rows)


def charts(
    done: Sequence[Round], verdicts: Sequence[Verdict], counts: Sequence[Verdict], against: str, names: tuple[str, str]
) -> list[Chart]:
    """The ratios with what is allowed, then the latencies of each workload that were measured on two cores."""
    drawn: list[Chart] = [_ratios(f"CPU time per operation, relative to {against}", verdicts)]
    if any(one.ratio is not None for one in counts):
        drawn.append(_ratios(f"instructions per operation, relative to {against}", counts))
    for job in jobs_of(one for one in done if one.job.placement.name == "two"):
        lines = []
        for name, label in zip(names, ("now", against), strict=True):
            rounds = of(done, job, name)
            points = [
                (float(index), value)
                for index, figure in enumerate(LATENCIES.values())
                if (value := middle(rounds, figure)) is not None
            ]
            if points:
                lines.append(Line(label, points))
        drawn.append(
            LineChart(job.workload.label, "of all operations", "us", lines, log_y=True, x_names=list(LATENCIES))
        )
    return drawn


def _ratios(title: str, verdicts: Sequence[Verdict]) -> RatioChart:
    rows = [
        RatioRow(one.job, one.ratio.median, one.ratio.lowest, one.ratio.highest, one.allowed)
        for one in verdicts if one.ratio is not None
    ]  # fmt: skip
    return RatioChart(title, rows)
