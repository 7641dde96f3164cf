"""Plays a text about one file and those who cache it, with the rules alone: no engine, no clock, no bytes.

Knows: the rules (`oplock_states`, `share_modes`) and the few words of a case.  Must not know: requests, messages.

A case is lines of "what happens => what comes of it", results separated by ";".  Names of opens are one word; those of
leases are given with "lease NAME".  What can happen:

    open a [lease K RWH | batch | exclusive | level2] [looks] [reads] [shares none|read] [overwrites] [in directory]
    write a   read a   rename a   delete a   lock a   close a
    ack K RH    ack a level2    silence K        an acknowledgment, or none in time
    entries [by K]                               in a directory: something in it changed, by whoever has K or nobody

and what can come of it:

    a gets RWH    a waits    a violates sharing    a goes on           (a goes on: what was not an open)
    K told RWH to RH [and answers]    K told on RH to R                (on: one more step of the same break)
    REQUEST_NOT_ACCEPTED ...                                           (a status that is not success)
"""

from __future__ import annotations

from dataclasses import dataclass, field

from smbd_uring.engine.oplock_states import (
    BREAKS_ITS_OWN,
    LEVEL_OF_BITS,
    Kind,
    Operation,
    R,
    State,
    Step,
    acknowledge_lease,
    acknowledge_oplock,
    checks_of_open,
    grantable_lease,
    grantable_oplock,
    letters_of,
    promoted,
    run_out_of_time,
    surroundings,
    take,
)
from smbd_uring.engine.share_modes import SHARE_ALL, SHARE_READ, conflicts
from smbd_uring.wire.const import AccessMask, OplockLevel
from smbd_uring.wire.ntstatus import NtStatus

ALL_DATA = int(AccessMask.FILE_READ_DATA | AccessMask.FILE_WRITE_DATA)
LEVELS = {"batch": OplockLevel.BATCH, "exclusive": OplockLevel.EXCLUSIVE, "level2": OplockLevel.II}
OPERATIONS = {
    "write": Operation.CHANGE_DATA, "lock": Operation.CHANGE_DATA, "read": Operation.READ,
    "rename": Operation.RENAME, "delete": Operation.DELETE,
}  # fmt: skip
BITS = {"R": 1, "H": 2, "W": 4}


def bits_of(text: str) -> int:
    return 0 if text == "nothing" else sum(BITS[letter] for letter in text)


@dataclass(eq=False)
class Holder:
    """A lease or an oplock."""

    name: str
    kind: Kind
    state: State
    opens: set[str] = field(default_factory=set)


@dataclass(eq=False)
class Opened:
    """An open, or one that waits to be."""

    name: str
    access: int
    share: int
    truncates: bool
    words: list[str]
    holder: Holder | None = None


class Replay:
    """One file."""

    def __init__(self) -> None:
        self.opens: dict[str, Opened] = {}
        self.holders: dict[str, Holder] = {}
        self.waiting: list[tuple[str, Opened]] = []
        self.out: list[str] = []

    def step(self, line: str) -> list[str]:
        """Let something happen.  Result: what comes of it."""
        self.out = []
        verb, name, *words = line.split()
        if verb == "open":
            self.attempt("open", self.asked(name, words))
        elif verb in OPERATIONS:
            self.attempt(verb, self.opens[name])
        elif verb == "close":
            self.close(self.opens.pop(name))
        elif verb == "ack":
            self.acknowledge(self.holders[name], words[0])
        elif verb == "silence":
            self.advance(self.holders[name], Step(run_out_of_time(self.holders[name].state)))
        elif verb == "entries":
            for holder in list(self.holders.values()):
                if [name, holder.name] != ["by", *words]:
                    self.advance(holder, take(holder.kind, holder.state, Operation.CHANGE_ENTRIES))
        else:
            raise AssertionError(f"no such thing as {verb!r}")
        return self.out

    def asked(self, name: str, words: list[str]) -> Opened:
        access = ALL_DATA
        if "looks" in words:
            access = int(AccessMask.FILE_READ_ATTRIBUTES)
        elif "reads" in words:
            access = int(AccessMask.FILE_READ_DATA)
        share = SHARE_ALL
        if "shares" in words:
            share = {"none": 0, "read": SHARE_READ}[words[words.index("shares") + 1]]
        truncates = "overwrites" in words
        return Opened(name, access | (AccessMask.FILE_WRITE_DATA if truncates else 0), share, truncates, words)

    def attempt(self, verb: str, opened: Opened) -> None:
        """Do it, or wait for those who have to come down first."""
        slow = self.break_for_open(opened) if verb == "open" else self.break_for(opened, OPERATIONS[verb])
        if slow:
            self.waiting.append((verb, opened))
            self.out.append(f"{opened.name} waits")
        elif verb != "open":
            self.out.append(f"{opened.name} goes on")
        elif self.violates(opened):
            self.out.append(f"{opened.name} violates sharing")
        else:
            self.opens[opened.name] = opened
            self.grant(opened)

    def violates(self, opened: Opened) -> bool:
        return conflicts(opened.access, opened.share, [(other.access, other.share) for other in self.opens.values()])

    def lease_name(self, opened: Opened) -> str | None:
        return opened.words[opened.words.index("lease") + 1] if "lease" in opened.words else None

    def break_for_open(self, opened: Opened) -> bool:
        for operation, concerned in checks_of_open(opened.access, opened.truncates, self.violates(opened)):
            others = [
                holder
                for holder in self.holders.values()
                if holder.name != self.lease_name(opened) and concerned.takes_in(holder.kind, holder.state)
            ]
            if self.break_all(others, operation):
                return True
        return False

    def break_for(self, opened: Opened, operation: Operation) -> bool:
        def breaks_itself(own: Holder) -> bool:
            return own.kind is Kind.OPLOCK and own.state.held == R and operation in BREAKS_ITS_OWN

        others = [
            holder for holder in self.holders.values() if holder is not opened.holder or breaks_itself(holder)
        ]
        return self.break_all(others, operation)

    def break_all(self, holders: list[Holder], operation: Operation) -> bool:
        slow = False
        for holder in holders:
            step = take(holder.kind, holder.state, operation)
            self.advance(holder, step)
            slow = slow or step.waits
        return slow

    def advance(self, holder: Holder, step: Step) -> None:
        was_breaking, holder.state = holder.state.is_breaking, step.state
        if step.notice is not None:
            on = "" if step.notice.begins else " on"
            answers = " and answers" if step.notice.needs_acknowledgment else ""
            self.out.append(
                f"{holder.name} told{on} {letters_of(step.notice.current)} to {letters_of(step.notice.new)}{answers}"
            )
        if holder.kind is Kind.OPLOCK and not holder.state.held:
            self.drop(holder)
        if was_breaking and not holder.state.is_breaking:
            self.go_on()

    def go_on(self) -> None:
        waiting, self.waiting = self.waiting, []
        for verb, opened in waiting:
            self.attempt(verb, opened)
            if self.waiting and self.waiting[-1] == (verb, opened):
                self.out.remove(f"{opened.name} waits")  # it did before

    def acknowledge(self, holder: Holder, answer: str) -> None:
        if holder.kind is Kind.OPLOCK:
            status, step = acknowledge_oplock(holder.state, LEVELS.get(answer, OplockLevel.NONE))
        else:
            status, step = acknowledge_lease(holder.state, bits_of(answer))
        if status != NtStatus.SUCCESS:
            self.out.append(status.name)
        self.advance(holder, step)

    def grant(self, opened: Opened) -> None:
        name = self.lease_name(opened)
        lease = None if name is None else self.holders.get(name)
        around = surroundings(
            [
                (other.access, other.holder and other.holder.kind, other.holder and other.holder.state)
                for other in self.opens.values()
                if other is not opened and (other.holder is None or other.holder is not lease)
            ],
            has_byte_range_locks=False, is_being_deleted=False,
        )  # fmt: skip
        kind = Kind.DIRECTORY_LEASE if "directory" in opened.words else Kind.LEASE
        level = next((LEVELS[word] for word in opened.words if word in LEVELS), OplockLevel.NONE)
        if name is not None:
            wanted = bits_of(opened.words[opened.words.index("lease") + 2])
            if lease is None:
                lease = self.holders[name] = Holder(name, kind, State(grantable_lease(kind, wanted, around)))
            else:
                lease.state = promoted(kind, lease.state, wanted, around)
            opened.holder = lease
        elif bits := grantable_oplock(level, around):
            opened.holder = self.holders[opened.name] = Holder(opened.name, Kind.OPLOCK, State(bits))
            assert bits in LEVEL_OF_BITS
        if opened.holder is not None:
            opened.holder.opens.add(opened.name)
        self.out.append(f"{opened.name} gets {letters_of(opened.holder.state.held if opened.holder else 0)}")

    def close(self, opened: Opened) -> None:
        if opened.holder is not None:
            opened.holder.opens.discard(opened.name)
            if not opened.holder.opens:
                self.drop(opened.holder)
        self.go_on()

    def drop(self, holder: Holder) -> None:
        self.holders.pop(holder.name, None)
        for opened in self.opens.values():
            if opened.holder is holder:
                opened.holder = None
