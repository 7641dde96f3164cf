"""`smbd-uring addshare`: shares in smb.conf, leaving everything else in the file as it is.

Knows: the file's lines.  Must not know: what parameters mean.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from smbd_uring.cli.reloading import reload_running_servers
from smbd_uring.netlink import smb_conf
from smbd_uring.netlink.accounts import replace_file
from smbd_uring.netlink.paths import default_paths
from smbd_uring.netlink.smb_conf import ConfError, section_key

NEW_FILE_MODE = 0o644


def main(argv: Sequence[str] | None = None) -> int:
    """Result: 0 done, 1 it failed and said why on stderr, 2 wrong usage."""
    options = _parser().parse_args(argv)
    config = options.config or default_paths()[0]
    try:
        text = _read(config)
        known = section_key(options.share) in smb_conf.parse(text, str(config)).shares
        if options.add and known:
            raise ConfError(f"there is a share [{options.share}] already; -u changes it")
        if (options.update or options.delete) and not known:
            raise ConfError(f"there is no share [{options.share}]; -a adds it")
        values = dict(_option(option) for option in options.options)
        text = _without(text, options.share) if options.delete else _with(text, options.share, values)
        smb_conf.parse(text, str(config))
        config.parent.mkdir(parents=True, exist_ok=True)
        replace_file(config, text.encode(), NEW_FILE_MODE)
    except (ConfError, OSError) as error:
        print(f"smbd-uring addshare: {error}", file=sys.stderr)
        return 1
    reload_running_servers()
    return 0


def _read(config: Path) -> str:
    try:
        return config.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def _option(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    key = " ".join(key.split()).lower()
    if not equals or key not in smb_conf.SHARE_KEYS:
        raise ConfError(f"{text!r} is not OPTION = VALUE with an option that shares have")
    if set(value) & set(";#\n"):
        raise ConfError(f"{text!r}: a value cannot contain ; or #, which begin a comment")
    return key, value.strip()


def _is_section(line: str, share: str | None = None) -> bool:
    bare = line.split(";", 1)[0].split("#", 1)[0].strip()
    if not bare.startswith("["):
        return False
    return share is None or section_key(bare.strip("[]")) == section_key(share)


def _without(text: str, share: str) -> str:
    """The text without the share's section, comments inside it included."""
    kept: list[str] = []
    inside = False
    for line in text.splitlines(keepends=True):
        if _is_section(line):
            inside = _is_section(line, share)
        if not inside:
            kept.append(line)
    return "".join(kept)


def _with(text: str, share: str, values: dict[str, str]) -> str:
    """The text with these values in the share's section: changed where they stand, added at its end otherwise."""
    lines = text.splitlines()
    begin = next((index for index, line in enumerate(lines) if _is_section(line, share)), None)
    if begin is None:
        lines += ([""] if lines else []) + [f"[{share}]"]
        begin = len(lines) - 1
    end = next((index for index in range(begin + 1, len(lines)) if _is_section(lines[index])), len(lines))
    section = lines[begin + 1 : end]
    missing = dict(values)
    for index, line in enumerate(section):
        key = " ".join(line.split(";", 1)[0].split("#", 1)[0].partition("=")[0].split()).lower()
        if key in values:
            section[index] = f"\t{key} = {values[key]}"
            missing.pop(key, None)
    while section and not section[-1].strip():
        section.pop()
    section += [f"\t{key} = {value}" for key, value in missing.items()]
    rest = lines[end:]
    return "\n".join([*lines[: begin + 1], *section, *([""] if rest else []), *rest]) + "\n"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="smbd-uring addshare",
        description="Add, update or delete a share; with none of the three it is added or updated.",
        epilog='example: smbd-uring addshare -a data -o "path = /srv/data" -o "read only = no"',
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("-a", dest="add", action="store_true", help="add it; it must not be there")
    what.add_argument("-u", dest="update", action="store_true", help="change it; it must be there")
    what.add_argument("-d", dest="delete", action="store_true", help="delete it")
    parser.add_argument("share", metavar="SHARE")
    parser.add_argument(
        "-o", dest="options", action="append", default=[], metavar='"OPTION = VALUE"', help="a parameter (repeatable)"
    )
    parser.add_argument("-c", dest="config", type=Path, metavar="smb.conf", help="the configuration file")
    return parser
