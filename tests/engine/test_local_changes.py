"""CHANGE_NOTIFY: what clients are told of changes that programs on the server's machine make."""

from __future__ import annotations

from smbd_uring import limits
from smbd_uring.ports import Credentials
from smbd_uring.wire.const import AccessMask, CreateDisposition, CreateOptions, FileInfoClass
from smbd_uring.wire.fscc import CompletionFilter, RenameInformation
from smbd_uring.wire.ntstatus import NtStatus
from tests.engine.servers import SimulatedServer, TestedServer
from tests.engine.watching import NAMES, LocalPrograms, Watch


def test_names_that_come_go_and_change_are_told_in_their_order(server: TestedServer) -> None:
    watch, local = Watch(server.client(), completion_filter=NAMES), LocalPrograms(server)
    local.make_file("file", b"data")
    local.make_folder("folder")
    local.rename("file", "other")
    local.remove("other")
    local.make_file("other")
    local.remove("folder", folder=True)
    assert watch.collect(7) == [
        ("ADDED", "file"), ("ADDED", "folder"), ("RENAMED_OLD_NAME", "file"), ("RENAMED_NEW_NAME", "other"),
        ("REMOVED", "other"), ("ADDED", "other"), ("REMOVED", "folder"),
    ]  # fmt: skip


def test_contents_and_what_is_known_of_files_are_told(server: TestedServer) -> None:
    local = LocalPrograms(server)
    local.make_file("file", b"data")
    client = server.client()
    size, security = (
        Watch(client, completion_filter=one) for one in (CompletionFilter.SIZE, CompletionFilter.SECURITY)
    )
    local.write("file", b"DATA")
    assert size.collect(1) == [("MODIFIED", "file")]
    local.set_mode("file", 0o600)
    assert security.collect(1) == [("MODIFIED", "file")]
    assert size.rest() == security.rest() == []


def test_what_is_made_in_a_new_folder_is_told_once(server: TestedServer) -> None:
    """Some of it before the folder is watched, some after."""
    watch, local = Watch(server.client(), tree=True, completion_filter=NAMES), LocalPrograms(server)
    local.make_folder("a")
    local.make_folder("a/b")
    local.make_file("a/b/one")
    assert sorted(watch.collect(3)) == [("ADDED", "a"), ("ADDED", r"a\b"), ("ADDED", r"a\b\one")]
    local.make_file("a/b/two")
    assert watch.collect(1) == [("ADDED", r"a\b\two")]
    assert watch.rest() == []


def test_a_folder_that_moves_keeps_being_watched_under_its_new_name(server: TestedServer) -> None:
    for name in ("a", "a/b", "a/b/c", "d"):
        server.files.add_directory(name, 0o777)
    watch, local = Watch(server.client(), tree=True, completion_filter=NAMES), LocalPrograms(server)
    server.settle(lambda engine: engine.notifications.is_settled and engine.notifications.folder_count == 5)
    local.rename("a/b", "d/e")
    assert watch.collect(2) == [("REMOVED", r"a\b"), ("ADDED", r"d\e")]
    assert watch.rest() == []
    local.make_file("d/e/c/file")
    local.rename("d", "f")
    local.make_file("f/e/more")
    assert watch.collect(4) == [
        ("ADDED", r"d\e\c\file"), ("RENAMED_OLD_NAME", "d"), ("RENAMED_NEW_NAME", "f"), ("ADDED", r"f\e\more")
    ]  # fmt: skip


def test_a_folder_that_leaves_is_not_heard_of_any_more_and_one_that_comes_is(server: TestedServer) -> None:
    for name in ("in", "in/a", "out", "out/b", "out/b/c"):
        server.files.add_directory(name, 0o777)
    watch, local = Watch(server.client(), "in", tree=True, completion_filter=NAMES), LocalPrograms(server)
    server.settle(lambda engine: engine.notifications.is_settled and engine.notifications.folder_count == 2)
    local.rename("in/a", "out/a")
    local.rename("out/b", "in/b")
    assert watch.collect(2) == [("REMOVED", "a"), ("ADDED", "b")], "what is in it came with it"
    server.settle(lambda engine: engine.notifications.is_settled and engine.notifications.folder_count == 3)
    local.make_file("out/a/unheard")
    local.make_file("in/b/c/heard")
    assert watch.collect(1) == [("ADDED", r"b\c\heard")]
    assert watch.rest() == []


def test_a_watched_folder_that_moves_goes_on_telling_of_its_own(server: TestedServer) -> None:
    for name in ("a", "a/b"):
        server.files.add_directory(name, 0o777)
    watch, local = Watch(server.client(), "a", tree=True, completion_filter=NAMES), LocalPrograms(server)
    server.settle(lambda engine: engine.notifications.is_settled and engine.notifications.folder_count == 2)
    local.rename("a", "c")
    local.make_file("c/b/file")
    assert watch.collect(1) == [(("ADDED"), r"b\file")]
    local.make_folder("a")
    local.make_file("a/file")
    assert watch.rest() == [], "another folder has its name now"


def test_a_change_of_a_client_is_told_once_whatever_the_kernel_says(server: TestedServer) -> None:
    client, other = server.client(), server.client()
    watch = Watch(client, tree=True, completion_filter=NAMES)
    folder = other.open(
        "folder", disposition=CreateDisposition.CREATE, options=CreateOptions.FILE_DIRECTORY_FILE,
        access=AccessMask.GENERIC_READ,
    )  # fmt: skip
    other.put(r"folder\file")
    file_id = other.open(r"folder\file")
    assert other.set_info(file_id, FileInfoClass.RENAME, RenameInformation(False, "file", 0)).status == 0
    other.close(file_id)
    other.close(folder)
    assert watch.collect(4) == [
        ("ADDED", "folder"), ("ADDED", r"folder\file"), ("REMOVED", r"folder\file"), ("ADDED", "file")
    ]  # fmt: skip
    assert watch.rest() == []


def test_names_that_no_client_can_see_are_not_told(server: TestedServer) -> None:
    watch, local = Watch(server.client(), completion_filter=NAMES), LocalPrograms(server)
    local.make_file("a:b")
    local.make_file("c")
    local.rename("c", "d*")
    local.rename("d*", "e")
    assert watch.collect(3) == [("ADDED", "c"), ("REMOVED", "c"), ("ADDED", "e")]


def test_a_client_hears_nothing_of_a_folder_that_it_may_not_list(simulated: SimulatedServer) -> None:
    server = simulated
    server.companion.accounts["anna"].credentials = Credentials(1000, 1000)
    server.files.add_directory("open", 0o755)
    server.files.add_directory("closed", 0o711)
    watch, local = Watch(server.client(), tree=True, completion_filter=NAMES), LocalPrograms(server)
    server.settle(lambda engine: engine.notifications.is_settled and engine.notifications.folder_count == 3)
    local.make_file("closed/secret")
    local.make_file("open/known")
    assert watch.collect(1) == [("ADDED", r"open\known")]
    server.world.kernel.node("/share/closed").mode |= 0o755
    server.advance(limits.NOTIFY_FOLDER_KNOWN_S)
    local.make_file("closed/shown")
    assert watch.collect(1) == [("ADDED", r"closed\shown")]


def test_when_the_kernel_lost_changes_everybody_looks_himself_and_trees_are_watched_anew(
    simulated: SimulatedServer,
) -> None:
    simulated.files.add_directory("a", 0o777)
    client, local = simulated.client(), LocalPrograms(simulated)
    tree, folder = Watch(client, tree=True, completion_filter=NAMES), Watch(client, completion_filter=NAMES)
    simulated.world.kernel.changes.lose()
    local.make_folder("a/unseen")
    for watch in (tree, folder):
        assert watch.answer().status == NtStatus.NOTIFY_ENUM_DIR
    tree.ask()
    simulated.advance(2 * limits.FOLDERS_REBUILD_S)
    assert tree.answer().status == NtStatus.NOTIFY_ENUM_DIR, "nothing below it was watched meanwhile"
    local.make_file("a/unseen/file")
    assert tree.collect(1) == [("ADDED", r"a\unseen\file")]


def test_where_the_kernel_cannot_watch_clients_still_hear_of_clients(simulated: SimulatedServer) -> None:
    simulated.world.kernel.has_watches = False
    simulated.files.add_directory("a", 0o777)
    client, other = simulated.client(), simulated.client()
    watch = Watch(client, tree=True)
    file_id = other.open(r"a\file", disposition=CreateDisposition.CREATE)
    assert other.set_info(file_id, FileInfoClass.RENAME, RenameInformation(False, r"a\new", 0)).status == 0
    other.close(other.open(r"a\new", AccessMask.DELETE, options=CreateOptions.FILE_DELETE_ON_CLOSE))
    assert watch.collect(3) == [("ADDED", r"a\file"), ("RENAMED_OLD_NAME", r"a\file"), ("RENAMED_NEW_NAME", r"a\new")]
    other.close(file_id)
    assert watch.collect(2) == [("MODIFIED", r"a\new"), ("REMOVED", r"a\new")]
