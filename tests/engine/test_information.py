"""What there is to know about a file or its volume, and what can be changed ([MS-SMB2] 3.3.5.20, 3.3.5.21)."""

from __future__ import annotations

import struct

import pytest

from smbd_uring.engine.commands.query_info import FILE_CLASSES, VOLUME_CLASSES
from smbd_uring.wire.const import (
    AccessMask,
    CreateDisposition,
    CreateOptions,
    FileAttributes,
    FileInfoClass,
    FsctlCode,
    FsInfoClass,
    InfoType,
)
from smbd_uring.wire.create import CreateResponse
from smbd_uring.wire.data import IoctlResponse
from smbd_uring.wire.fscc import (
    AllInformation,
    AllocationInformation,
    BasicInformation,
    EndOfFileInformation,
    FullSizeInformation,
    ModeInformation,
    NetworkOpenInformation,
    PositionInformation,
    StandardInformation,
    minimum_file_size,
    minimum_volume_size,
)
from smbd_uring.wire.names import decode_utf16
from smbd_uring.wire.ntstatus import NtStatus
from smbd_uring.wire.pdu import FileId
from smbd_uring.wire.query import QueryInfoResponse
from tests.engine.servers import TestedServer
from tests.support.client_messages import Reply
from tests.support.file_client import FileClient

DIRECTORY = CreateOptions.FILE_DIRECTORY_FILE
LONG_NAME = "a name that is no short name.text"
CREATION_TIME, WRITE_TIME = 0x01D0_0000_0000_0000, 0x01D1_2345_6789_ABCD
NO_CHANGE = (0, 0xFFFF_FFFF_FFFF_FFFF, 0xFFFF_FFFF_FFFF_FFFE)
END = 1 << 63


@pytest.fixture
def opened(server: TestedServer) -> tuple[FileClient, FileId]:
    """A client and a file of five bytes that it has open for everything."""
    server.files.add_file("file", b"12345", 0o777)
    client = server.client()
    return client, client.open("file")


def query(client: FileClient, file_id: FileId, info_class: int, info_type: int = InfoType.FILE) -> bytes:
    """The whole answer."""
    return bytes(client.query_info(file_id, info_class, info_type).expect(QueryInfoResponse).buffer)


# --- asking ---


@pytest.mark.parametrize("info_class", sorted(FILE_CLASSES))
def test_every_class_of_files_is_answered_whole_cut_or_refused_by_the_size_of_the_buffer(
    server: TestedServer, info_class: int
) -> None:
    server.files.add_file("file", b"12345", 0o777)
    client = server.client()
    file_id = client.open("file")
    whole = query(client, file_id, info_class)
    minimum = minimum_file_size(info_class)
    assert_cut_to_size(client, file_id, info_class, InfoType.FILE, whole, minimum)


@pytest.mark.parametrize("info_class", sorted(VOLUME_CLASSES))
def test_every_class_of_volumes_likewise(opened, info_class: int) -> None:
    client, file_id = opened
    whole = query(client, file_id, info_class, InfoType.FILESYSTEM)
    assert_cut_to_size(client, file_id, info_class, InfoType.FILESYSTEM, whole, minimum_volume_size(info_class))


def assert_cut_to_size(
    client: FileClient, file_id: FileId, info_class: int, info_type: int, whole: bytes, minimum: int
) -> None:
    for size in range(len(whole) + 2):
        reply = client.query_info(file_id, info_class, info_type, size=size)
        if size < minimum:
            assert reply.status == NtStatus.INFO_LENGTH_MISMATCH
        elif size < len(whole):
            answer = reply.expect(QueryInfoResponse, NtStatus.BUFFER_OVERFLOW)
            entries_only = info_type == InfoType.FILE and info_class == FileInfoClass.STREAM
            assert len(answer.buffer) == (0 if entries_only else size)
        else:
            assert len(reply.expect(QueryInfoResponse).buffer) == len(whole)


def test_the_classes_agree_with_each_other_and_with_create(opened) -> None:
    client, file_id = opened
    answer = client.create("file").expect(CreateResponse)
    basic = BasicInformation.decode(query(client, file_id, FileInfoClass.BASIC))
    standard = StandardInformation.decode(query(client, file_id, FileInfoClass.STANDARD))
    network = NetworkOpenInformation.decode(query(client, file_id, FileInfoClass.NETWORK_OPEN))
    everything = AllInformation.decode(query(client, file_id, FileInfoClass.ALL))
    assert everything.basic == basic
    assert everything.standard == standard
    assert everything.name == "\\file"
    assert everything.index_number == int.from_bytes(query(client, file_id, FileInfoClass.INTERNAL), "little")
    for told in (basic, network, answer):
        assert told.last_write_time == basic.last_write_time
        assert told.creation_time == basic.creation_time
        assert told.file_attributes == basic.file_attributes
    assert (standard.end_of_file, network.end_of_file, answer.end_of_file) == (5, 5, 5)
    assert (standard.directory, standard.delete_pending, standard.number_of_links) == (0, 0, 1)


def test_access_and_mode_are_the_handles_own(server: TestedServer) -> None:
    server.files.add_file("file", b"", 0o777)
    client = server.client()
    wanted = AccessMask.FILE_READ_DATA | AccessMask.FILE_READ_ATTRIBUTES
    file_id = client.open("file", wanted, options=CreateOptions.FILE_SEQUENTIAL_ONLY)
    assert struct.unpack("<I", query(client, file_id, FileInfoClass.ACCESS)) == (wanted,)
    assert struct.unpack("<I", query(client, file_id, FileInfoClass.MODE)) == (CreateOptions.FILE_SEQUENTIAL_ONLY,)


def test_attributes_are_not_told_to_a_handle_without_the_right(server: TestedServer) -> None:
    server.files.add_file("file", b"", 0o777)
    client = server.client()
    file_id = client.open("file", AccessMask.FILE_READ_DATA)
    for info_class in (FileInfoClass.BASIC, FileInfoClass.ALL, FileInfoClass.NETWORK_OPEN, FileInfoClass.ATTRIBUTE_TAG):
        assert client.query_info(file_id, info_class).status == NtStatus.ACCESS_DENIED
    assert client.query_info(file_id, FileInfoClass.STANDARD).status == NtStatus.SUCCESS


@pytest.mark.parametrize(
    ("info_type", "info_class", "status"),
    [
        (InfoType.FILE, 0, NtStatus.INVALID_INFO_CLASS), (InfoType.FILE, 255, NtStatus.INVALID_INFO_CLASS),
        (InfoType.FILE, FileInfoClass.RENAME, NtStatus.INVALID_INFO_CLASS),
        (InfoType.FILE, FileInfoClass.FULL_EA, NtStatus.NO_EAS_ON_FILE),
        (InfoType.FILESYSTEM, 0, NtStatus.INVALID_INFO_CLASS), (InfoType.FILESYSTEM, 99, NtStatus.INVALID_INFO_CLASS),
        (InfoType.SECURITY, 0, NtStatus.NOT_SUPPORTED), (InfoType.QUOTA, 0, NtStatus.NOT_SUPPORTED),
        (0, 4, NtStatus.INVALID_PARAMETER), (5, 4, NtStatus.INVALID_PARAMETER),
    ],
)  # fmt: skip
def test_what_is_not_known_is_not_made_up(opened, info_type: int, info_class: int, status: NtStatus) -> None:
    client, file_id = opened
    assert client.query_info(file_id, info_class, info_type).status == status


def test_a_name_that_is_short_is_its_own_short_name_and_others_have_none(server: TestedServer) -> None:
    client = server.client()
    client.put("SHORT.TXT")
    client.put(LONG_NAME)
    short = query(client, client.open("SHORT.TXT"), FileInfoClass.ALTERNATE_NAME)
    assert decode_utf16(short[4:]) == "SHORT.TXT"
    reply = client.query_info(client.open(LONG_NAME), FileInfoClass.ALTERNATE_NAME)
    assert reply.status == NtStatus.OBJECT_NAME_NOT_FOUND


def test_a_volume_has_room_and_the_shares_name(opened) -> None:
    client, file_id = opened
    size = FullSizeInformation.decode(query(client, file_id, FsInfoClass.FULL_SIZE, InfoType.FILESYSTEM))
    assert size.total_allocation_units >= size.actual_available_allocation_units > 0
    assert size.bytes_per_sector * size.sectors_per_allocation_unit >= 512
    volume = query(client, file_id, FsInfoClass.VOLUME, InfoType.FILESYSTEM)
    assert decode_utf16(volume[18:]) == "data"


# --- changing ---


def test_times_and_attributes_stay_as_they_are_set(opened) -> None:
    client, file_id = opened
    wanted = BasicInformation(CREATION_TIME, WRITE_TIME - 7, WRITE_TIME, 0, FileAttributes.HIDDEN)
    assert client.set_info(file_id, FileInfoClass.BASIC, wanted).status == NtStatus.SUCCESS
    told = BasicInformation.decode(query(client, file_id, FileInfoClass.BASIC))
    assert (told.creation_time, told.last_access_time, told.last_write_time) == (
        CREATION_TIME, WRITE_TIME - 7, WRITE_TIME,
    )  # fmt: skip
    assert told.file_attributes == FileAttributes.HIDDEN
    again = client.create("file").expect(CreateResponse)
    assert (again.creation_time, again.file_attributes) == (CREATION_TIME, FileAttributes.HIDDEN)


@pytest.mark.parametrize("unchanged", NO_CHANGE)
def test_some_values_mean_that_a_time_stays(opened, unchanged: int) -> None:
    client, file_id = opened
    before = BasicInformation.decode(query(client, file_id, FileInfoClass.BASIC))
    wanted = BasicInformation(unchanged, unchanged, unchanged, unchanged, 0)
    assert client.set_info(file_id, FileInfoClass.BASIC, wanted).status == NtStatus.SUCCESS
    assert BasicInformation.decode(query(client, file_id, FileInfoClass.BASIC)) == before


@pytest.mark.parametrize(
    "wanted",
    [
        BasicInformation(END, 0, 0, 0, 0), BasicInformation(0, 0, 0xFFFF_FFFF_FFFF_FFFD, 0, 0),
    ],
)  # fmt: skip
def test_times_that_cannot_be_are_invalid(opened, wanted: BasicInformation) -> None:
    client, file_id = opened
    assert client.set_info(file_id, FileInfoClass.BASIC, wanted).status == NtStatus.INVALID_PARAMETER


@pytest.mark.parametrize("size", [0, 3, 5, 6, 100_000])
def test_the_end_of_a_file_moves_both_ways(server: TestedServer, opened, size: int) -> None:
    client, file_id = opened
    reply = client.set_info(file_id, FileInfoClass.END_OF_FILE, EndOfFileInformation(size))
    assert reply.status == NtStatus.SUCCESS
    assert server.files.data("file") == b"12345"[:size].ljust(size, b"\0")


def test_an_allocation_below_the_size_cuts_and_above_it_only_reserves(server: TestedServer, opened) -> None:
    client, file_id = opened
    for size, expected in ((1 << 20, b"12345"), (2, b"12")):
        reply = client.set_info(file_id, FileInfoClass.ALLOCATION, AllocationInformation(size))
        assert reply.status == NtStatus.SUCCESS
        assert server.files.data("file") == expected


@pytest.mark.parametrize("info_class", [FileInfoClass.END_OF_FILE, FileInfoClass.ALLOCATION])
def test_sizes_that_no_file_has_are_refused(server: TestedServer, opened, info_class: int) -> None:
    client, file_id = opened
    status = client.set_info(file_id, info_class, struct.pack("<Q", END)).status
    assert status in (NtStatus.INVALID_PARAMETER, NtStatus.DISK_FULL)
    assert server.files.data("file") == b"12345"


def test_changing_needs_the_right_to(server: TestedServer) -> None:
    server.files.add_file("file", b"12345", 0o777)
    client = server.client()
    file_id = client.open("file", AccessMask.FILE_READ_DATA)
    changes = [
        (FileInfoClass.BASIC, BasicInformation(0, 0, 0, 0, FileAttributes.HIDDEN).encode()),
        (FileInfoClass.END_OF_FILE, EndOfFileInformation(0).encode()),
        (FileInfoClass.ALLOCATION, AllocationInformation(0).encode()),
        (FileInfoClass.DISPOSITION, b"\1"),
    ]
    for info_class, information in changes:
        assert client.set_info(file_id, info_class, information).status == NtStatus.ACCESS_DENIED
    assert server.files.data("file") == b"12345"


def test_position_and_mode_are_remembered(opened) -> None:
    client, file_id = opened
    assert client.set_info(file_id, FileInfoClass.POSITION, PositionInformation(77)).status == NtStatus.SUCCESS
    assert struct.unpack("<Q", query(client, file_id, FileInfoClass.POSITION)) == (77,)
    mode = CreateOptions.FILE_SEQUENTIAL_ONLY
    assert client.set_info(file_id, FileInfoClass.MODE, ModeInformation(mode)).status == NtStatus.SUCCESS
    assert struct.unpack("<I", query(client, file_id, FileInfoClass.MODE)) == (mode,)
    for info_class, wrong in ((FileInfoClass.POSITION, struct.pack("<Q", END)), (FileInfoClass.MODE, b"\1\0\0\0")):
        assert client.set_info(file_id, info_class, wrong).status == NtStatus.INVALID_PARAMETER


@pytest.mark.parametrize(
    "info_class",
    [FileInfoClass.BASIC, FileInfoClass.RENAME, FileInfoClass.LINK, FileInfoClass.DISPOSITION, FileInfoClass.POSITION,
     FileInfoClass.MODE, FileInfoClass.ALLOCATION, FileInfoClass.END_OF_FILE],
)  # fmt: skip
def test_a_structure_cut_short_changes_nothing(server: TestedServer, opened, info_class: int) -> None:
    client, file_id = opened
    assert client.set_info(file_id, info_class, b"").status == NtStatus.INFO_LENGTH_MISMATCH
    assert server.files.names() == ["file"]


@pytest.mark.parametrize("info_class", [0, FileInfoClass.STANDARD, FileInfoClass.ALL, 255])
def test_what_cannot_be_set_is_not(opened, info_class: int) -> None:
    client, file_id = opened
    assert client.set_info(file_id, info_class, bytes(100)).status == NtStatus.INVALID_INFO_CLASS


def test_nothing_is_set_through_a_readonly_share(server: TestedServer) -> None:
    server.files.add_file("file", b"12345", 0o777)
    client = server.client(share="readonly")
    file_id = client.open("file", AccessMask.MAXIMUM_ALLOWED)
    for info_class in (FileInfoClass.BASIC, FileInfoClass.DISPOSITION, FileInfoClass.END_OF_FILE):
        assert client.set_info(file_id, info_class, bytes(40)).status == NtStatus.ACCESS_DENIED
    assert client.set_info(file_id, FileInfoClass.POSITION, bytes(8)).status == NtStatus.SUCCESS


def test_a_folder_has_attributes_and_times_and_no_size(server: TestedServer) -> None:
    client = server.client()
    folder = client.open("folder", disposition=CreateDisposition.CREATE, options=DIRECTORY)
    wanted = BasicInformation(CREATION_TIME, 0, WRITE_TIME, 0, FileAttributes.HIDDEN | FileAttributes.DIRECTORY)
    assert client.set_info(folder, FileInfoClass.BASIC, wanted).status == NtStatus.SUCCESS
    told = AllInformation.decode(query(client, folder, FileInfoClass.ALL))
    assert told.basic.file_attributes == FileAttributes.HIDDEN | FileAttributes.DIRECTORY
    assert (told.basic.creation_time, told.basic.last_write_time) == (CREATION_TIME, WRITE_TIME)
    assert (told.standard.end_of_file, told.standard.directory) == (0, 1)
    reply = client.set_info(folder, FileInfoClass.END_OF_FILE, EndOfFileInformation(1))
    assert reply.status == NtStatus.INVALID_HANDLE
    assert client.set_info(folder, FileInfoClass.END_OF_FILE, EndOfFileInformation(0)).status == NtStatus.SUCCESS
    temporary = BasicInformation(0, 0, 0, 0, FileAttributes.TEMPORARY)
    assert client.set_info(folder, FileInfoClass.BASIC, temporary).status == NtStatus.INVALID_PARAMETER


@pytest.mark.parametrize("attributes", [FileAttributes.DIRECTORY, 0x8])
def test_attributes_that_no_file_can_have_are_passed_over(server: TestedServer, attributes: int) -> None:
    client = server.client()
    file_id = client.open("file", disposition=CreateDisposition.CREATE)
    wanted = BasicInformation(0, 0, 0, 0, attributes | FileAttributes.HIDDEN)
    assert client.set_info(file_id, FileInfoClass.BASIC, wanted).status == NtStatus.SUCCESS
    told = BasicInformation.decode(query(client, file_id, FileInfoClass.BASIC))
    assert told.file_attributes == FileAttributes.HIDDEN
    nothing_else = BasicInformation(0, 0, 0, 0, FileAttributes.DIRECTORY)
    assert client.set_info(file_id, FileInfoClass.BASIC, nothing_else).status == NtStatus.SUCCESS
    assert BasicInformation.decode(query(client, file_id, FileInfoClass.BASIC)) == told


def test_every_file_has_an_object_id_of_its_own(server: TestedServer) -> None:
    client = server.client()
    for name in ("one", "other"):
        client.put(name)

    def object_id(name: str, room: int = 64) -> Reply:
        file_id = client.open(name, AccessMask.FILE_READ_ATTRIBUTES)
        return client.ioctl(FsctlCode.CREATE_OR_GET_OBJECT_ID, file_id=file_id, max_output=room)

    one, same, other = (bytes(object_id(name).expect(IoctlResponse).output) for name in ("one", "one", "other"))
    assert len(one) == 64
    assert one == same
    assert one[:16] != other[:16]
    assert object_id("one", 63).status == NtStatus.INVALID_PARAMETER
