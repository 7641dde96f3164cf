"""Rounds are taken in turn, and nothing of them is lost on the way into a table."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from smbd_uring.perf.compare import report
from smbd_uring.perf.contenders import Duration, Figures
from smbd_uring.perf.figures_wanted import PROTECTIONS, TABLE
from smbd_uring.perf.matrix import cells
from smbd_uring.perf.pinning import Placement
from smbd_uring.perf.rounds import Job, Round, run_rounds
from smbd_uring.perf.samba_configuration import Samba
from smbd_uring.perf.workloads import Workload

SAME = Placement("same", frozenset({0}), frozenset({0}))
TWO = Placement("two", frozenset({0}), frozenset({1}))
DURATION = Duration(0.1, 0.0)
READ = Job("read-4k", TABLE["read-4k"].workload, SAME)


def figures(cpu_us: float, errors: int = 0, rate: float = 1000.0, p99_us: float = 9.0) -> Figures:
    return Figures(rate, rate * 4096 / 1e6, cpu_us / 4, cpu_us * 3 / 4, 5.0, 7.0, p99_us, 90.0, 100.0, None, errors)


@dataclass
class Scripted:
    """A contender that answers what it was given, in turn; an exception is raised."""

    name: str
    answers: list[Figures | Exception]
    diary: list[str]
    able: bool = True
    placements: list[Placement] = field(default_factory=list)

    def can(self, workload: Workload) -> bool:
        return self.able

    def measure(self, workload: Workload, placement: Placement, duration: Duration) -> Figures:
        self.diary.append(self.name)
        self.placements.append(placement)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_contenders_take_turns() -> None:
    diary: list[str] = []
    contenders = [Scripted(name, [figures(4.0)] * 3, diary) for name in "AB"]
    done = run_rounds(contenders, [READ], 3, DURATION)
    assert diary == ["A", "B", "A", "B", "A", "B"]
    assert [(one.contender, one.number) for one in done] == [(name, n) for n in range(3) for name in "AB"]


def test_who_cannot_do_a_workload_is_not_asked() -> None:
    diary: list[str] = []
    run_rounds([Scripted("A", [figures(1)], diary), Scripted("B", [], diary, able=False)], [READ], 1, DURATION)
    assert diary == ["A"]


def test_a_failure_is_recorded_and_the_run_goes_on() -> None:
    diary: list[str] = []
    ours = Scripted("smbd-uring", [figures(4.0), OSError("connection reset"), figures(4.0)], diary)
    other = Scripted("samba-tuned", [figures(8.0), figures(8.0), figures(8.0, errors=7)], diary)
    done = run_rounds([ours, other], [READ], 3, DURATION)
    said = report(done, ["samba-tuned"])
    assert "smbd-uring, read 4 KiB, depth 8 (same), round 2: OSError: connection reset" in said
    assert "samba-tuned, read 4 KiB, depth 8 (same), round 3: 7 errors" in said
    assert "0.50" in said


def test_the_table_says_what_is_wanted_and_whether_it_is_met() -> None:
    wanted = TABLE["read-4k"].tuned[0]
    for cost, met in ((wanted * 10 * 0.99, "yes"), (wanted * 10 * 1.01, "NO")):
        done = [Round(READ, "smbd-uring", 0, figures(cost)), Round(READ, "samba-tuned", 0, figures(10.0))]
        (line,) = [line for line in report(done, ["samba-tuned"]).splitlines() if "read 4 KiB" in line]
        assert [cell.strip() for cell in line.split("|")][-3:-1] == [f"{wanted:.2f}", met]


def test_a_workload_without_a_single_figure_is_not_met() -> None:
    done = [Round(READ, "smbd-uring", 0, None, "gone"), Round(READ, "samba-tuned", 0, figures(10.0))]
    assert "not measured" in report(done, ["samba-tuned"])


@pytest.mark.parametrize(
    ("rate", "p99_us", "ahead"), [(2000, 5, "yes"), (2000, 20, "NO"), (500, 5, "NO"), (500, 20, "NO")]
)
def test_a_cell_is_ahead_in_throughput_and_in_latency(rate: float, p99_us: float, ahead: str) -> None:
    job = Job("read-4k", READ.workload, TWO)
    done = [
        Round(job, "smbd-uring", 0, figures(1, rate=rate, p99_us=p99_us)),
        Round(job, "samba-tuned", 0, figures(1, rate=1000, p99_us=10)),
    ]
    assert cells(done, "samba-tuned").splitlines()[-1].split("|")[-2].strip() == ahead


def test_every_line_of_what_is_wanted_has_each_protection_for_each_samba() -> None:
    for row in TABLE.values():
        for samba in Samba:
            ratios = [row.wanted(samba, protection) for protection in PROTECTIONS]
            assert all(ratio is not None and 0 < ratio <= 1.1 for ratio in ratios)
    assert TABLE["read-64k"].wanted(Samba.TUNED, "gmac") == 0.60
    assert TABLE["read-64k"].wanted(Samba.TUNED, "hmac") is None
