"""docs/performance.md says what is wanted as the program does."""

from __future__ import annotations

from pathlib import Path

from smbd_uring.perf.figures_wanted import TABLE

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "performance.md"


def cell(ratios: tuple[float, float, float]) -> str:
    """Three ratios as the document writes them: once when they are the same."""
    return " / ".join(f"{ratio:.2f}" for ratio in (ratios if len(set(ratios)) > 1 else ratios[:1]))


def test_the_table_of_what_is_wanted() -> None:
    rows = {}
    for line in DOCUMENT.read_text(encoding="utf-8").splitlines():
        cells = [part.strip() for part in line.split("|")]
        if len(cells) == 6 and cells[1].startswith("`"):
            rows[cells[1].strip("`")] = (cells[3], cells[4])
    assert rows == {name: (cell(row.default), cell(row.tuned)) for name, row in TABLE.items()}
