"""Requests that a server must refuse, or just must not refuse: a table of cases for `test_statuses.py`.

Every case sends the same requests to whichever server it is given and tells the statuses, for comparison.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from smbprotocol.file_info import InfoType
from smbprotocol.open import CreateDisposition, CreateOptions

from tests.support.smb2_client import (
    ACCESS_DELETE,
    ACCESS_READ,
    ACCESS_WRITE,
    SHARE_ALL,
    SHARE_NOTHING,
    SUCCESS,
    Client,
    status_of,
)
from tests.support.trees import LONGEST_NAME

FILE_CLASSES = (4, 5, 6, 7, 8, 14, 16, 17, 18, 22, 28, 34, 35)
"""[MS-FSCC] 2.4: what Explorer, smbclient and the Linux client ask about files."""

FILE_SYSTEM_CLASSES = (1, 3, 4, 5, 7, 11)
"""[MS-FSCC] 2.5: the same about volumes."""

DIRECTORY = CreateOptions.FILE_DIRECTORY_FILE
NON_DIRECTORY = CreateOptions.FILE_NON_DIRECTORY_FILE
DELETE_ON_CLOSE = CreateOptions.FILE_DELETE_ON_CLOSE
OPEN = CreateDisposition.FILE_OPEN
CREATE = CreateDisposition.FILE_CREATE
OPEN_IF = CreateDisposition.FILE_OPEN_IF
OVERWRITE = CreateDisposition.FILE_OVERWRITE
OVERWRITE_IF = CreateDisposition.FILE_OVERWRITE_IF
SUPERSEDE = CreateDisposition.FILE_SUPERSEDE

Case = Callable[[Client], list[str]]
"""Sends requests about `case\\...` below the share and tells the statuses in order."""

CASES: dict[str, Case] = {}
PINNED: dict[str, list[str]] = {}


def case(*statuses: str) -> Callable[[Case], Case]:
    """Register a case under its function's name; `statuses`, where given, are what servers must answer."""

    def register(function: Case) -> Case:
        CASES[function.__name__] = function
        if statuses:
            PINNED[function.__name__] = [f"STATUS_{status}" for status in statuses]
        return function

    return register


def fill(root: Path) -> None:
    """What both shares hold: below "case" a little of everything."""
    case_folder = root / "case"
    (case_folder / "full" / "below").mkdir(parents=True)
    (case_folder / "empty").mkdir()
    (case_folder / "file").write_bytes(b"content")
    (case_folder / "full" / "file").write_bytes(b"content")
    (case_folder / "link inside").symlink_to("file")
    (case_folder / "link to folder").symlink_to("full")
    (case_folder / "link up and back").symlink_to("../case/file")
    (case_folder / "link absolute").symlink_to("/etc/passwd")
    (case_folder / "link absolute inside").symlink_to(case_folder / "file")
    (case_folder / "link relative out").symlink_to("../../outside")
    (case_folder / "link to folder out").symlink_to("..//../outside folder")
    (case_folder / "link nowhere").symlink_to("nothing")
    (case_folder / "link to itself").symlink_to("link to itself")
    (root.parent / "outside").write_bytes(b"secret")
    (root.parent / "outside folder").mkdir()
    (root.parent / "outside folder" / "file").write_bytes(b"secret")
    (case_folder / "of root").write_bytes(b"root's")
    (case_folder / "of root").chmod(0o600)
    (case_folder / "folder of root").mkdir(mode=0o755)
    (case_folder / "folder of root" / "file").write_bytes(b"root's")
    for path in (case_folder, case_folder / "full", case_folder / "empty", case_folder / "full" / "below"):
        path.chmod(0o777)
    for path in (case_folder / "file", case_folder / "full" / "file"):
        path.chmod(0o666)


# --- names ----------------------------------------------------------------------------------------------


def opening(*paths: str, access: int = ACCESS_READ, disposition: int = OPEN, options: int = 0) -> Case:
    """A case that opens each path in turn."""

    def run(client: Client) -> list[str]:
        return [
            status_of(partial(client.open_and_close, path, access, disposition=disposition, options=options))
            for path in paths
        ]

    return run


CASES["missing_file"] = opening(r"case\nothing")
CASES["missing_folder_in_path"] = opening(r"case\nothing\file", r"case\nothing\more\file")
CASES["file_as_folder_in_path"] = opening(r"case\file\more", r"case\file\more\still")
CASES["missing_parent_of_new_file"] = opening(
    r"case\nothing\new", access=ACCESS_WRITE, disposition=CREATE
)
CASES["file_opened_as_folder"] = opening(r"case\file", options=DIRECTORY)
CASES["folder_opened_as_file"] = opening(r"case\full", options=NON_DIRECTORY)
CASES["share_root_opened_as_file"] = opening("", options=NON_DIRECTORY)
CASES["share_root"] = opening("", options=DIRECTORY)
CASES["file_in_place_of_folder"] = opening(r"case\full", disposition=CREATE, options=NON_DIRECTORY)
CASES["folder_in_place_of_file"] = opening(r"case\file", disposition=CREATE, options=DIRECTORY)
CASES["folder_that_exists"] = opening(r"case\full", disposition=CREATE, options=DIRECTORY)
CASES["file_that_exists"] = opening(r"case\file", disposition=CREATE)
CASES["folder_overwritten"] = opening(r"case\empty", disposition=OVERWRITE, options=DIRECTORY)
CASES["folder_superseded"] = opening(r"case\empty", disposition=SUPERSEDE, options=DIRECTORY)
CASES["both_folder_and_file"] = opening(r"case\file", options=DIRECTORY | NON_DIRECTORY)
CASES["missing_file_overwritten"] = opening(r"case\nothing", access=ACCESS_WRITE, disposition=OVERWRITE)
CASES["no_access_asked_for"] = opening(r"case\file", access=0)
CASES["delete_on_close_without_delete_access"] = opening(r"case\file", options=DELETE_ON_CLOSE)
CASES["name_of_255_bytes"] = opening(rf"case\{LONGEST_NAME}")
CASES["name_over_255_bytes"] = opening(rf"case\{LONGEST_NAME}x", "case\\" + "y" * 256, "case\\" + "ü" * 128)
CASES["new_name_over_255_bytes"] = opening(
    "case\\" + "y" * 256, "case\\" + "ü" * 128, access=ACCESS_WRITE, disposition=CREATE
)
CASES["folder_name_over_255_bytes"] = opening("case\\" + "y" * 256 + "\\file")
CASES["dots"] = opening(r"case\..\case\file", r"case\.\file", r"..", r"..\..\etc\passwd", r".", r"case\..")
CASES["slashes_instead_of_backslashes"] = opening("case/file", "case/../../outside")
CASES["leading_backslash"] = opening(r"\case\file")
CASES["trailing_backslash"] = opening("case\\full\\", "case\\file\\")
CASES["doubled_backslash"] = opening(r"case\\file")
CASES["illegal_characters"] = opening(*(rf"case\a{letter}b" for letter in '*?"<>|\x01\x1f'))
CASES["illegal_characters_in_new_names"] = opening(
    *(rf"case\a{letter}b" for letter in '*?"<>|\x01\x1f'), access=ACCESS_WRITE, disposition=CREATE
)
CASES["illegal_characters_in_folders"] = opening(r"case\a*b\file", r"case\?\file")
CASES["case_of_letters"] = opening(r"CASE\FILE", r"Case\Full\Below")
CASES["very_deep"] = opening("\\".join(["case", *["deep"] * 200]), "\\".join(["deeper" * 20] * 60))
CASES["symlinks_inside"] = opening(
    r"case\link inside", r"case\link to folder\file", r"case\link up and back", r"case\link to folder"
)
CASES["symlinks_that_leave"] = opening(
    r"case\link absolute", r"case\link relative out", r"case\link to folder out",
    r"case\link to folder out\file", r"case\link to folder out\nothing",
)
CASES["symlinks_to_nothing"] = opening(
    r"case\link nowhere", r"case\link to itself", r"case\link nowhere\more"
)
CASES["new_file_through_symlink_that_leaves"] = opening(
    r"case\link to folder out\new", access=ACCESS_WRITE, disposition=CREATE
)
CASES["file_of_root"] = opening(r"case\of root")
CASES["new_file_in_folder_of_root"] = opening(
    r"case\folder of root\new", access=ACCESS_WRITE, disposition=CREATE
)
CASES["writing_to_file_in_folder_of_root"] = opening(r"case\folder of root\file", access=ACCESS_WRITE)
PINNED |= {
    "missing_file": ["STATUS_OBJECT_NAME_NOT_FOUND"],
    "missing_folder_in_path": ["STATUS_OBJECT_PATH_NOT_FOUND"] * 2,
    "file_opened_as_folder": ["STATUS_NOT_A_DIRECTORY"],
    "folder_opened_as_file": ["STATUS_FILE_IS_A_DIRECTORY"],
    "file_that_exists": ["STATUS_OBJECT_NAME_COLLISION"],
    "symlinks_inside": [SUCCESS] * 4,
    "file_of_root": ["STATUS_ACCESS_DENIED"],
    "case_of_letters": [SUCCESS] * 2,
}


# --- changing things ------------------------------------------------------------------------------------


@case("SUCCESS", "OBJECT_NAME_NOT_FOUND", "OBJECT_NAME_NOT_FOUND")
def deleting_a_file_twice(client: Client) -> list[str]:
    client.create(r"case\doomed")
    paths = (r"case\doomed", r"case\doomed", r"case\nothing")
    return [status_of(partial(client.delete, path)) for path in paths]


@case("DIRECTORY_NOT_EMPTY", "SUCCESS")
def deleting_a_folder_with_something_in_it(client: Client) -> list[str]:
    client.mkdir(r"case\holder")
    client.mkdir(r"case\holder\inner")
    refused = status_of(lambda: client.delete(r"case\holder"))
    client.delete(r"case\holder\inner")
    return [refused, status_of(lambda: client.delete(r"case\holder"))]


@case()
def delete_on_close_of_a_folder_with_something_in_it(client: Client) -> list[str]:
    def attempt() -> None:
        client.open(r"case\full", ACCESS_DELETE, options=DIRECTORY | DELETE_ON_CLOSE).close()

    return [status_of(attempt), status_of(lambda: client.open_and_close(r"case\full"))]


@case("SUCCESS", "DELETE_PENDING", "OBJECT_NAME_NOT_FOUND")
def opening_what_waits_for_its_deletion(client: Client) -> list[str]:
    client.create(r"case\waiting")
    opened = client.open(r"case\waiting", ACCESS_DELETE | ACCESS_READ)
    marked = status_of(lambda: client.mark_for_deletion(opened))
    pending = status_of(lambda: client.open_and_close(r"case\waiting"))
    opened.close()
    return [marked, pending, status_of(lambda: client.open_and_close(r"case\waiting"))]


@case("SHARING_VIOLATION", "SHARING_VIOLATION", "SHARING_VIOLATION", "SUCCESS")
def opening_what_somebody_keeps_to_himself(client: Client) -> list[str]:
    client.create(r"case\kept")
    opened = client.open(r"case\kept", ACCESS_READ | ACCESS_WRITE, share=SHARE_NOTHING)
    answers = [
        status_of(partial(client.open_and_close, r"case\kept", access))
        for access in (ACCESS_READ, ACCESS_WRITE, ACCESS_DELETE)
    ]
    opened.close()
    return [*answers, status_of(lambda: client.delete(r"case\kept"))]


@case("SHARING_VIOLATION")
def keeping_to_oneself_what_others_have_open(client: Client) -> list[str]:
    opened = client.open(r"case\file", ACCESS_READ, share=SHARE_ALL)
    answer = status_of(lambda: client.open_and_close(r"case\file", ACCESS_READ, share=SHARE_NOTHING))
    opened.close()
    return [answer]


@case()
def renaming_what_is_open(client: Client) -> list[str]:
    client.create(r"case\busy")
    opened = client.open(r"case\busy", ACCESS_READ, share=SHARE_NOTHING)
    kept = status_of(lambda: client.rename(r"case\busy", r"case\busy renamed"))
    opened.close()
    opened = client.open(r"case\busy", ACCESS_READ, share=SHARE_ALL)
    shared = status_of(lambda: client.rename(r"case\busy", r"case\busy renamed"))
    opened.close()
    return [kept, shared, status_of(lambda: client.delete(r"case\busy renamed"))]


@case()
def renaming_a_folder_with_an_open_file_in_it(client: Client) -> list[str]:
    client.mkdir(r"case\moving")
    client.create(r"case\moving\file")
    opened = client.open(r"case\moving\file")
    busy = status_of(lambda: client.rename(r"case\moving", r"case\moved"))
    opened.close()
    return [busy, status_of(lambda: client.rename(r"case\moving", r"case\moved"))]


@case("OBJECT_NAME_COLLISION", "SUCCESS", "OBJECT_NAME_NOT_FOUND")
def renaming_onto_a_file(client: Client) -> list[str]:
    client.create(r"case\first")
    client.create(r"case\second")
    return [
        status_of(lambda: client.rename(r"case\first", r"case\second")),
        status_of(lambda: client.rename(r"case\first", r"case\second", replace=True)),
        status_of(lambda: client.open_and_close(r"case\first")),
    ]


@case()
def renaming_onto_a_folder(client: Client) -> list[str]:
    client.create(r"case\mover")
    return [
        status_of(lambda: client.rename(r"case\mover", r"case\full")),
        status_of(lambda: client.rename(r"case\mover", r"case\full", replace=True)),
    ]


@case()
def renaming_a_folder_onto_a_file(client: Client) -> list[str]:
    client.create(r"case\target")
    client.mkdir(r"case\moving folder")
    return [
        status_of(lambda: client.rename(r"case\moving folder", r"case\target")),
        status_of(lambda: client.rename(r"case\moving folder", r"case\target", replace=True)),
    ]


@case()
def renaming_to_a_name_that_cannot_be(client: Client) -> list[str]:
    client.create(r"case\renamable")
    new_paths = (
        r"case\nothing\new", r"case\file\new", "case\\" + "y" * 256, r"case\a*b", r"case\..\..\out", "",
        r"..\out", r"case\link to folder out\new", r"case\renamable", r"case\RENAMABLE",
    )
    return [status_of(partial(client.rename, r"case\renamable", new_path)) for new_path in new_paths]


@case()
def moving_a_folder_into_itself(client: Client) -> list[str]:
    client.mkdir(r"case\snake")
    return [status_of(lambda: client.rename(r"case\snake", r"case\snake\tail"))]


@case()
def renaming_the_share_itself(client: Client) -> list[str]:
    return [status_of(lambda: client.rename("", "renamed")), status_of(lambda: client.delete(""))]


@case("SUCCESS", "ACCESS_DENIED", "ACCESS_DENIED")
def writing_without_the_right(client: Client) -> list[str]:
    opened = client.open(r"case\file", ACCESS_READ)
    answers = [
        status_of(lambda: opened.read(0, 7)), status_of(lambda: opened.write(b"x", 0)),
        status_of(lambda: client.mark_for_deletion(opened)),
    ]
    opened.close()
    return answers


@case("ACCESS_DENIED")
def reading_without_the_right(client: Client) -> list[str]:
    opened = client.open(r"case\file", ACCESS_WRITE)
    answers = [status_of(lambda: opened.read(0, 7))]
    opened.close()
    return answers


@case("SUCCESS", "END_OF_FILE", "END_OF_FILE")
def reading_at_the_end(client: Client) -> list[str]:
    opened = client.open(r"case\file", ACCESS_READ)
    answers = [
        status_of(lambda: opened.read(6, 100)), status_of(lambda: opened.read(7, 100)),
        status_of(lambda: opened.read(1 << 40, 100)),
    ]
    opened.close()
    return answers


@case()
def reading_and_writing_a_folder(client: Client) -> list[str]:
    opened = client.open(r"case\full", ACCESS_READ | ACCESS_WRITE, options=DIRECTORY)
    answers = [
        status_of(lambda: opened.read(0, 100)), status_of(lambda: opened.write(b"x", 0)),
        status_of(opened.flush),
    ]
    opened.close()
    return answers


@case()
def listing_what_is_no_folder(client: Client) -> list[str]:
    opened = client.open(r"case\file")
    answer = status_of(lambda: opened.query_directory("*", 3))
    opened.close()
    return [answer]


@case("NO_SUCH_FILE", "SUCCESS", "NO_MORE_FILES")
def listing_with_patterns(client: Client) -> list[str]:
    opened = client.open(r"case\full", options=DIRECTORY)
    nothing = status_of(lambda: opened.query_directory("nothing*", 3))
    opened.close()
    opened = client.open(r"case\full", options=DIRECTORY)
    answers = [status_of(lambda: opened.query_directory("*", 3)) for _ in range(2)]
    opened.close()
    return [nothing, *answers]


@case("FILE_CLOSED", "FILE_CLOSED", "FILE_CLOSED")
def using_what_is_closed(client: Client) -> list[str]:
    opened = client.open(r"case\file", ACCESS_READ | ACCESS_WRITE)
    client.close_without_noting(opened)
    return [
        status_of(lambda: opened.read(0, 1)), status_of(lambda: opened.write(b"x", 0)),
        status_of(lambda: client.close_without_noting(opened)),
    ]


@case()
def setting_sizes(client: Client) -> list[str]:
    client.create(r"case\sized", b"12345")
    return [
        status_of(partial(client.truncate, r"case\sized", size))
        for size in (3, 0, 1 << 30, (1 << 63) - 1, (1 << 64) - 1)
    ]


# --- asking about things ----------------------------------------------------------------------------------


def answers_to_queries(client: Client, path: str, info_type: int, classes: tuple[int, ...]) -> list[str]:
    """Ask for each class with room enough, with none, and with four bytes too few for what it takes."""
    opened = client.open(path)
    answers: list[str] = []

    def ask(number: int, size_max: int = 65536) -> int:
        sizes: list[int] = []
        status = status_of(
            lambda: sizes.append(len(client.query_info(opened, info_type, number, size_max)))
        )
        size = sizes[0] if sizes else 0
        # How long a name or a label is differs between the two shares, so only fixed sizes are compared.
        told = size if number not in CLASSES_WITH_NAMES[info_type] else "some" if size else "no"
        answers.append(f"class {number}, room for {size_max}: {status}, {told} bytes")
        return size

    for number in classes:
        size = ask(number)
        ask(number, 0)
        if size > 4 and number not in CLASSES_WITH_NAMES[info_type]:
            ask(number, size - 4)
    opened.close()
    return answers


CLASSES_WITH_NAMES = {InfoType.SMB2_0_INFO_FILE: (18, 22), InfoType.SMB2_0_INFO_FILESYSTEM: (1, 5)}


@case()
def information_about_a_file(client: Client) -> list[str]:
    return answers_to_queries(client, r"case\file", InfoType.SMB2_0_INFO_FILE, FILE_CLASSES)


@case()
def information_about_a_folder(client: Client) -> list[str]:
    return answers_to_queries(client, r"case\full", InfoType.SMB2_0_INFO_FILE, FILE_CLASSES)


@case()
def information_about_the_volume(client: Client) -> list[str]:
    return answers_to_queries(client, "", InfoType.SMB2_0_INFO_FILESYSTEM, FILE_SYSTEM_CLASSES)


# --- where we differ --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Difference:
    """What our server answers to a case, and why that is right although Samba answers otherwise."""

    statuses: list[str]
    reason: str


DIFFERENCES = {
    "no_access_asked_for": Difference(
        ["STATUS_ACCESS_DENIED"], "[MS-FSA] 2.1.5.1: a DesiredAccess of zero is refused"
    ),
    "listing_what_is_no_folder": Difference(
        ["STATUS_INVALID_PARAMETER"], "[MS-SMB2] 3.3.5.18: refused when the open is not to a directory"
    ),
    "slashes_instead_of_backslashes": Difference(
        ["STATUS_OBJECT_NAME_INVALID"] * 2, "[MS-FSCC] 2.1.5: a slash is no separator and in no name"
    ),
}
"""Cases in which our server differs from Samba on purpose."""
