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
NOT_SHARES = frozenset(map(section_key, ("global", "IPC$")))
MODES = ("create mask", "directory mask", "force create mode", "force directory mode")


def main(argv: Sequence[str] | None = None) -> int:
    """Result: 0 done, 1 it failed and said why on stderr, 2 wrong usage."""
    options = _parser().parse_args(argv)
    config = options.config or default_paths()[0]
    try:
        _check_name(options.share)
        text = _read(config)
        known = section_key(options.share) in smb_conf.parse(text, str(config)).shares
        if options.add and known:
            raise ConfError(f"there is a share [{options.share}] already; -u changes it")
        if (options.update or options.delete) and not known:
            raise ConfError(f"there is no share [{options.share}]; -a adds it")
        text = _changed(text, options)
        if not options.delete:
            _check_values(smb_conf.parse(text, str(config)).shares[section_key(options.share)])
        config.parent.mkdir(parents=True, exist_ok=True)
        replace_file(config, text.encode(), NEW_FILE_MODE)
    except (ConfError, OSError) as error:
        print(f"smbd-uring addshare: {error}", file=sys.stderr)
        return 1
    reload_running_servers()
    return 0


def _read(config: Path) -> str:
    """The file's text with its line ends as they are."""
    try:
        return config.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError as error:
        raise ConfError(f"{config} is not UTF-8 text (byte {error.start}); save it as UTF-8") from error


def _check_name(share: str) -> None:
    try:
        read = [section.name for section in smb_conf.parse(f"[{share}]", "").shares.values()]
    except ConfError:
        read = []
    if read != [share] or share != share.strip() or section_key(share) in NOT_SHARES:
        raise ConfError(f"{share!r} is not a share's name: printable, at most 63 bytes, without [ ] ; #")


def _check_values(section: smb_conf.Section) -> None:
    """What the companion would refuse is refused here, where somebody is there to read it."""
    if not section.text("path"):
        raise ConfError('a share needs a folder: -o "path = /some/folder"')
    section.size("max connections", 0)
    for key in MODES:
        section.octal(key, 0)


def _option(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    key = " ".join(key.split()).lower()
    if not equals or key not in smb_conf.SHARE_KEYS:
        raise ConfError(f"{text!r} is not OPTION = VALUE with an option that shares have")
    value = value.strip()
    if set(value) & set(";#") or not value.isprintable():
        raise ConfError(f"{text!r}: a value cannot contain ; or #, which begin a comment, nor unprintable characters")
    return key, value


def _changed(text: str, options: argparse.Namespace) -> str:
    line_end = "\r\n" if "\r\n" in text else "\n"
    lines = text.removesuffix(line_end).split(line_end) if text else []
    if options.delete:
        lines = _without(lines, options.share)
    else:
        lines = _with(lines, options.share, dict(_option(option) for option in options.options))
    return "".join(line + line_end for line in lines)


def _is_section(line: str, share: str | None = None) -> bool:
    bare = line.split(";", 1)[0].split("#", 1)[0].strip()
    if not bare.startswith("["):
        return False
    return share is None or section_key(bare[1:].removesuffix("]")) == section_key(share)


def _end(lines: list[str], begin: int) -> int:
    """Where the section that begins at `begin` ends: comments after an empty line belong to what comes next."""
    end = next((index for index in range(begin + 1, len(lines)) if _is_section(lines[index])), len(lines))
    last = end
    while last > begin + 1 and (not (line := lines[last - 1].strip()) or line.startswith(("#", ";"))):
        last -= 1
        if not line:
            end = last
    return end


def _without(lines: list[str], share: str) -> list[str]:
    """The lines without the share's section, comments inside it included."""
    while (begin := _begin(lines, share)) is not None:
        end = _end(lines, begin)
        while end < len(lines) and not lines[end].strip():
            end += 1
        lines = lines[:begin] + lines[end:]
    return lines


def _with(lines: list[str], share: str, values: dict[str, str]) -> list[str]:
    """The lines with these values in the share's section: changed where they stand, added at its end otherwise."""
    begin = _begin(lines, share)
    if begin is None:
        lines = [*lines, *([""] if lines else []), f"[{share}]"]
        begin = len(lines) - 1
    end = _end(lines, begin)
    section = lines[begin + 1 : end]
    missing = dict(values)
    for index, line in enumerate(section):
        key = " ".join(line.split(";", 1)[0].split("#", 1)[0].partition("=")[0].split()).lower()
        if key in values:
            section[index] = f"\t{key} = {values[key]}"
            missing.pop(key, None)
    section += [f"\t{key} = {value}" for key, value in missing.items()]
    return [*lines[: begin + 1], *section, *lines[end:]]


def _begin(lines: list[str], share: str) -> int | None:
    return next((index for index, line in enumerate(lines) if _is_section(line, share)), None)


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
