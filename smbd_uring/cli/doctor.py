"""`smbd-uring doctor`: what this machine offers, what is missing, what that costs, and the remedy.

Knows: how to present findings.  Must not know: how anything is probed (`probes`).
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from smbd_uring.cli.probes import Level, run_probes
from smbd_uring.state_directory import base_directory

SIGNS = {Level.OK: "ok", Level.SLOWER: "slower", Level.MISSING: "missing"}


def main(argv: list[str]) -> int:
    """Run the command.

    Result: 0 when the server works here, fast or slow; 1 when something that it needs is missing.
    """
    parser = argparse.ArgumentParser(
        prog="smbd-uring doctor", description="What this machine offers, what is missing, and the remedy."
    )
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.add_argument("--state-dir", type=Path, metavar="DIR", help="where the file system is probed")
    options = parser.parse_args(argv)
    findings = run_probes(options.state_dir or base_directory())
    if options.json:
        rows = [{**asdict(finding), "level": SIGNS[finding.level]} for finding in findings]
        print(json.dumps(rows, indent=2))
    else:
        width = max(len(finding.what) for finding in findings)
        for finding in findings:
            print(f"{SIGNS[finding.level]:<8} {finding.what:<{width}}  {finding.found}")
            if finding.remedy:
                print(f"{'':<8} {'':<{width}}  remedy: {finding.remedy}")
    return 1 if any(finding.level is Level.MISSING for finding in findings) else 0
