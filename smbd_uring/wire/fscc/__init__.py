"""[MS-FSCC]: the structures that describe files, directories and volumes."""

from smbd_uring.wire.fscc.directory import (
    DIRECTORY_CLASSES,
    DirectoryInformation,
    DirectoryListing,
    decode_directory_listing,
    encode_directory_entry,
)
from smbd_uring.wire.fscc.expression import fold_name, name_matches
from smbd_uring.wire.fscc.file_information import (
    AllInformation,
    BasicInformation,
    FileInformation,
    NetworkOpenInformation,
    StandardInformation,
    encode_file_information,
    minimum_file_size,
)
from smbd_uring.wire.fscc.notify import (
    CompletionFilter,
    NotifyAction,
    NotifyInformation,
    decode_notify_information,
    encode_notify_information,
)
from smbd_uring.wire.fscc.set_information import (
    AllocationInformation,
    DispositionInformation,
    DispositionInformationEx,
    EndOfFileInformation,
    LinkInformation,
    ModeInformation,
    PositionInformation,
    RenameInformation,
    RenameInformationEx,
)
from smbd_uring.wire.fscc.volume import (
    FullSizeInformation,
    VolumeInformation,
    encode_volume_information,
    minimum_volume_size,
)

__all__ = [
    "DIRECTORY_CLASSES",
    "AllInformation",
    "AllocationInformation",
    "BasicInformation",
    "CompletionFilter",
    "DirectoryInformation",
    "DirectoryListing",
    "DispositionInformation",
    "DispositionInformationEx",
    "EndOfFileInformation",
    "FileInformation",
    "FullSizeInformation",
    "LinkInformation",
    "ModeInformation",
    "NetworkOpenInformation",
    "NotifyAction",
    "NotifyInformation",
    "PositionInformation",
    "RenameInformation",
    "RenameInformationEx",
    "StandardInformation",
    "VolumeInformation",
    "decode_directory_listing",
    "decode_notify_information",
    "encode_directory_entry",
    "encode_file_information",
    "encode_notify_information",
    "encode_volume_information",
    "fold_name",
    "minimum_file_size",
    "minimum_volume_size",
    "name_matches",
]
