"""Runs Debian's smbclient against an endpoint, away from this machine's own Samba configuration.

Knows: smbclient's command line.  Must not know: which server answers.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.endpoint import Account, Endpoint
from tests.support.foreign import foreign_environment

DIALECTS = ("SMB2_10", "SMB3_00", "SMB3_02", "SMB3_11")
PROTECTIONS = ("plain", "sign", "encrypt")


@dataclass(frozen=True)
class Transport:
    """How smbclient speaks to the server: exactly this dialect, plain, signed or encrypted."""

    dialect: str = "SMB3_11"
    protection: str = "sign"

    def options(self) -> list[str]:
        """smbclient's options for it."""
        options = [f"--option=client {bound} protocol={self.dialect}" for bound in ("min", "max")]
        if self.protection != "plain":
            options.append(f"--client-protection={self.protection}")
        return options


MATRIX = tuple(
    Transport(dialect, protection)
    for dialect in DIALECTS
    for protection in PROTECTIONS
    if (dialect, protection) != ("SMB2_10", "encrypt")  # 2.1 cannot
)


def quoted(name: str) -> str:
    """A name as smbclient's own commands take it."""
    return f'"{name}"'


def start(
    endpoint: Endpoint, commands: Sequence[str], scratch: Path, *, share: str = "data",
    transport: Transport = Transport(), account: Account | None = None, timeout_s: int = 0,
) -> subprocess.Popen[str]:
    """Start smbclient with `commands`, local files relative to `scratch`; stdout and stderr come together.

    With `timeout_s` it is ended after so many seconds, and what it prints comes line by line.
    """
    account = account or endpoint.account
    state = scratch / ".smbclient"
    state.mkdir(exist_ok=True)
    return subprocess.Popen(
        [
            *(("timeout", str(timeout_s), "stdbuf", "-oL") if timeout_s else ()),
            "smbclient", f"//{endpoint.host}/{share}", "-s", "/dev/null", "-p", str(endpoint.port),
            "-U", f"{account.name}%{account.password}", *transport.options(),
            *(f"--option={kind} directory={state}" for kind in ("lock", "state", "cache")),
            "--option=unix charset=UTF-8", "-t", "60", "-c", ";".join(commands),
        ],
        cwd=scratch, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env=foreign_environment(),
    )


def run(
    endpoint: Endpoint, commands: Sequence[str], scratch: Path, *, share: str = "data",
    transport: Transport = Transport(), account: Account | None = None, timeout_s: float = 120,
) -> str:
    """Run smbclient with `commands` to its end.  Result: what it printed.

    Raises AssertionError with that when a command was refused.
    """
    output, status = attempt(
        endpoint, commands, scratch, share=share, transport=transport, account=account, timeout_s=timeout_s
    )
    assert status == 0 and "NT_STATUS_" not in output, f"smbclient ({transport}): status {status}\n{output}"
    return output


def attempt(
    endpoint: Endpoint, commands: Sequence[str], scratch: Path, *, share: str = "data",
    transport: Transport = Transport(), account: Account | None = None, timeout_s: float = 120,
) -> tuple[str, int]:
    """As `run`, but a refusal is an answer: (what it printed, exit status)."""
    process = start(endpoint, commands, scratch, share=share, transport=transport, account=account)
    try:
        output, _ = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        output, _ = process.communicate()
        raise AssertionError(f"smbclient hangs ({transport}), so far it printed:\n{output}") from None
    return output, process.returncode


def version() -> str:
    """Name and version, as "smbclient 4.17.12-Debian"."""
    said = subprocess.run(["smbclient", "--version"], capture_output=True, check=True, text=True, timeout=20).stdout
    return f"smbclient {said.split()[1]}"
