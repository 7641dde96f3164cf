"""Every bound and every time limit, with its reason.

Knows: numbers.  Must not know: who enforces them.

The rule behind all of them: what a client sends can use up that client's own allowance, never the server's.  A name
ends in its unit where it is not a plain count.  Where two bounds depend on each other an assertion at the end says so.
"""

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

# --- frames ([MS-SMB2] 2.1: a 24-bit length) ---------------------------------------------------------------------

FRAME_BYTES_MAX: Final = 0x00FF_FFFF
"""The transport header cannot say more."""

IO_BYTES_MAX: Final = 8 * MIB
"""Largest READ, WRITE or transaction a server may be configured to take; Windows Server's own maximum."""

FRAME_OVERHEAD_BYTES: Final = 64 * KIB
"""Room beside the payload: headers, the transform header, a compound's other requests, create contexts."""

UNAUTHENTICATED_FRAME_BYTES_MAX: Final = 64 * KIB
"""Before a session exists only NEGOTIATE and SESSION_SETUP make sense; a Kerberos ticket with a large PAC stays
below 64 KiB, and a stranger can make the server hold no more than this per connection."""

COMPOUND_REQUESTS_MAX: Final = 64
"""Requests in one compound.  Windows and the Linux client send at most 5; Samba's tests about 20."""

# --- connections -------------------------------------------------------------------------------------------------

CONNECTIONS_MAX: Final = 12288
"""In all: a large site's ten thousand, and room for those who come back before their old one is gone.  Each costs one
descriptor, about 20 KiB when idle and 100 KiB when busy."""

CONNECTIONS_PER_ADDRESS_MAX: Final = 512
"""One address may not take every slot: many users can share a gateway or a terminal server, hence not smaller."""

AUTHENTICATION_TIMEOUT_S: Final = 45.0
"""From accept to the first valid session, as Windows does; a slow-loris holds a slot no longer than this."""

SESSION_SETUP_ROUNDS_MAX: Final = 8
"""SESSION_SETUP exchanges for one session before it is valid; NTLM needs 2, SPNEGO with a retry 3."""

SEND_QUEUE_BYTES_MAX: Final = 32 * MIB
"""Unsent reply bytes of one connection above which no further requests are read from it."""

SEND_QUEUE_BYTES_RESUME: Final = 8 * MIB
"""Reading resumes below this; the gap keeps the switch from flapping."""

SEND_STALL_TIMEOUT_S: Final = 60.0
"""A peer that takes no byte of its replies for this long is gone or hostile."""

UNAUTHENTICATED_SEND_QUEUE_BYTES_MAX: Final = 256 * KIB
"""The same before a session exists: a stranger who asks on and on and reads nothing (ECHO needs no session) is not
read from any more."""

OUTSTANDING_BYTES_IN_ALL_MAX: Final = 512 * MIB
"""The same for the engine's requests of all connections together; beyond it each may have one frame in work."""

PLANES_BYTES_MAX: Final = 512 * MIB
"""Frames and replies of all connections together in the data planes; a quarter of the memory where that is less.
Beyond it a connection may have one request in work at a time."""

OUTSTANDING_BYTES_MAX: Final = 64 * MIB
"""Request and reply payload bytes being worked on for one connection; beyond it reading pauses."""

# --- credits ([MS-SMB2] 3.3.1.2) -----------------------------------------------------------------------------------

CREDITS_MAX: Final = 8192
"""Window of message ids of one connection, as Windows Server and ksmbd."""

CREDITS_UNAUTHENTICATED_MAX: Final = 64
"""Before a session is valid a client has nothing to pipeline."""

ASYNC_REQUESTS_MAX: Final = 1024
"""Requests of one connection that were answered STATUS_PENDING and wait (CHANGE_NOTIFY above all)."""

# --- sessions, trees, opens --------------------------------------------------------------------------------------

SESSIONS_PER_CONNECTION_MAX: Final = 64
"""Multi-user clients and terminal servers use one session a user on one connection."""

SESSIONS_UNAUTHENTICATED_MAX: Final = 2
"""Sessions that a connection may have begun before its first one is valid; a client needs one, and the strangers of
every connection together leave room in the table."""

LOGONS_PER_CONNECTION_MAX: Final = SESSIONS_PER_CONNECTION_MAX
"""Exchanges of SESSION_SETUP that a connection may have begun and not ended; a new session's count as sessions, too."""

CHANNELS_PER_SESSION_MAX: Final = 32
"""Connections of one session; as many as Windows allows."""

INTERFACE_ADDRESSES_MAX: Final = 128
"""Addresses a client is told of; the answer has 19 KiB then, and clients look at a few."""

INTERFACES_GOOD_S: Final = 10.0
"""How long what the kernel said of its interfaces is repeated: clients ask again every ten minutes, and one that asks
all the time does not have the kernel asked all the time."""

CHANNEL_SILENCE_S: Final = 2.0
"""A client whose kernel does not acknowledge what it is told within this time is told on another channel, and the
silent one is given up.  Time for some retransmissions on any network that several channels are used on, and little
beside the 35 s that whoever waits for the client's answer may have to wait."""

CONNECTION_SILENCE_S: Final = 30.0
"""The same where there is no other channel: longer, since it costs the client its handles, and shorter than the 35 s,
after which a holder that cannot hear would lose its cache and never know."""

SESSIONS_MAX: Final = 32768
SESSIONS_PER_ADDRESS_MAX: Final = 4096
"""One address may not take every session either; a gateway with more users than this is served by a larger machine."""

TREES_PER_SESSION_MAX: Final = 256
OPENS_PER_SESSION_MAX: Final = 16384
"""Windows allows 16384 per session; smbtorture's maxfid asks for 10,000 and more."""

OPENS_MAX: Final = 65536
"""In all; each costs a file descriptor, so the server raises RLIMIT_NOFILE to fit and lowers this to what it got."""

LOCKS_PER_OPEN_MAX: Final = 1024
"""Byte-range locks of one open; a database's file has some hundreds."""

LOCKS_PER_FILE_MAX: Final = 4096
"""The same of all opens of a file: each READ that may hit one looks at them all, in 0.4 ms then.  Who can fill this
could lock the whole file as well."""

LOCKS_PER_SESSION_MAX: Final = 16384
"""The same of all files of a session: 4 MiB."""

LOCKS_WAITING_PER_FILE_MAX: Final = 256
"""LOCKs that wait for bytes of one file: each is looked at when one is unlocked."""

LOCKS_PER_REQUEST_MAX: Final = 64
"""Elements of one LOCK; no client sends more than a few, and each is compared with all there are."""

LOCAL_LOCK_RETRY_FIRST_S: Final = 0.05
LOCAL_LOCK_RETRY_MAX_S: Final = 1.0
"""A LOCK that waits for a local program is tried again after so long, each time twice as long up to the second: the
kernel can tell of the end of a lock only by holding a thread."""

DURABLE_TIMEOUT_S: Final = 120.0
"""How long a handle that was asked for by DHnQ waits for its client, as Windows since version 8."""

DURABLE_V2_TIMEOUT_S: Final = 60.0
"""The same for DH2Q when the client names no time, as Windows and Samba."""

DURABLE_TIMEOUT_MAX_S: Final = 300.0
"""The most a client may name ([MS-SMB2] 3.3.5.9.10)."""

RESILIENCY_TIMEOUT_S: Final = 120.0
RESILIENCY_TIMEOUT_MAX_S: Final = 300.0
"""The same for resilient handles, as Windows ([MS-SMB2] 3.3.3 <226>, 3.3.5.15.9)."""

HANDLES_AWAY_MAX: Final = 16384
"""Handles that wait for their clients, in all: a quarter of what may be open, so that clients that went cannot keep
others out.  Beyond it the one that waits longest is closed."""

HANDLES_AWAY_PER_OWNER_MAX: Final = 4096
"""The same of one user: a busy machine holds some hundreds of files open."""

APP_INSTANCE_OPENS_MAX: Final = 1024
"""Opens of one instance of an application that its next instance takes over: a virtual machine has dozens of files."""

PERSISTENT_HANDLES_MAX: Final = 4096
"""Handles that survive the server, in all: each has a record in a file that is read and written as a whole."""

JOURNAL_ENTRY_BYTES_MAX: Final = MIB
"""One handle's record: a path, and its locks; a handle with more locks than that is not recorded any more."""

JOURNAL_BYTES_MIN: Final = MIB
"""A smaller journal is not written anew, however little of it still counts."""
LEASES_PER_CLIENT_MAX: Final = 16384
"""Leases of one client, whatever its connections; beyond it opens get none.  Each belongs to an open, so they are as
bounded as those are; this keeps one client's from being most of the table."""

BREAK_ACKNOWLEDGMENT_TIMEOUT_S: Final = 35.0
"""How long whoever wants a file waits for another client's cache, as Windows does; below the 60 s after which clients
give up a request."""

OPENS_ENOUGH: Final = 8192
"""Opens that a server with few descriptors keeps room for before it takes more connections instead."""

DESCRIPTORS_RESERVED: Final = 256
"""Descriptors kept back for listeners, share roots, lookups under way and the companion."""

# --- authentication ----------------------------------------------------------------------------------------------

LOGON_DELAY_FIRST_S: Final = 0.25
LOGON_DELAY_MAX_S: Final = 8.0
"""A wrong password is answered after FIRST, doubled with each further failure from that address, up to MAX."""

LOGON_FAILURES_FORGOTTEN_S: Final = 300.0
"""An address that failed and then kept quiet for this long starts anew."""

LOGON_ADDRESSES_MAX: Final = 4096
"""Addresses remembered for the delay; the oldest is forgotten first."""

LOGONS_DELAYED_PER_ADDRESS_MAX: Final = 16
"""Logons of one address held back at a time; one more ends its connection, so delays cannot be run side by side."""

SECURITY_BLOB_BYTES_MAX: Final = 60 * KIB
"""A GSS token; see UNAUTHENTICATED_FRAME_BYTES_MAX."""

# --- the log -----------------------------------------------------------------------------------------------------

COMPLAINTS_PERIOD_S: Final = 10.0
COMPLAINTS_PER_PERIOD_MAX: Final = 100
"""Lines about what clients did wrong, in all, in one period: strangers can provoke them at will, and a log that fills
the disk harms everybody."""

# --- names and directories ---------------------------------------------------------------------------------------

PATH_BYTES_MAX: Final = 4095
"""PATH_MAX without its NUL, of the path below the share in UTF-8."""

NAME_BYTES_MAX: Final = 255
"""NAME_MAX of every Linux file system in use."""

PATH_COMPONENTS_MAX: Final = 256
CREATE_CONTEXTS_MAX: Final = 32
"""A CREATE with more contexts than there are kinds is not from a client."""

NEGOTIATE_CONTEXTS_MAX: Final = 32
NEGOTIATE_DIALECTS_MAX: Final = 64
CREATE_RETRIES_MAX: Final = 8
"""How often CREATE starts again when somebody else creates or removes the name between its steps."""

RESOLVE_RETRIES_MAX: Final = 16
"""How often a path is resolved again when renames elsewhere keep the kernel from proving that it stays in the share."""

TEMPORARY_NAMES_MAX: Final = 16
"""Names tried for the temporary link behind a replacing LINK; more are taken only when somebody does it on purpose."""

DIRECTORY_BATCH_ENTRIES: Final = 512
"""Entries whose facts one step of a listing asks for; a 64 KiB reply holds about 500."""

DIRECTORY_ENTRIES_MAX: Final = 4_000_000
"""Names that the listings of one connection remember together while they go on (about 100 bytes each)."""

DIRECTORIES_INDEXED_MAX: Final = 256
NAMES_INDEXED_MAX: Final = 131_072
"""Directories, and names in all of them together, whose names are remembered in any case (about 250 bytes each, so 32
MiB at most); a larger directory is read at each name that is not there."""

SEARCH_PATTERN_CHARACTERS_MAX: Final = 255

# --- change notifications ----------------------------------------------------------------------------------------

NOTIFY_QUEUE_BYTES_MAX: Final = 64 * KIB
"""What one handle is kept of events that its client did not ask for yet, as Windows; more is told as "look for
yourself"."""

NOTIFY_EVENTS_IN_ALL_MAX: Final = 400_000
"""The same of all handles together (about 170 bytes each): short names in many handles' queues would take ten times
what the client pays for them."""

NOTIFY_UNCHECKED_MAX: Final = 1024
"""Events of one handle that wait until the kernel has said whether the client may list their folder."""

NOTIFY_FOLDERS_KNOWN_MAX: Final = 256
NOTIFY_FOLDER_KNOWN_S: Final = 2.0
"""For how many folders one handle remembers that, and how long a right that was taken away is believed in."""

FOLDERS_WATCHED_MAX: Final = 100_000
"""Folders watched by the kernel, those below watched trees included (about 1 KiB in the kernel and 0.7 KiB here).
fs.inotify.max_user_watches bounds them too.  Beyond it only what clients change is told."""

FOLDERS_PER_TURN: Final = 64
FOLDERS_PAUSE_S: Final = 0.003
"""A tree is walked in steps of so many folders (about 2 ms), with pauses for everybody else."""

CHANGES_BYTES_PER_TURN: Final = 8 * KIB
NOTIFY_REST_PER_CHANGE_S: Final = 20e-6
NOTIFY_REST_FROM: Final = 16
"""Events that are taken in at once (about 250, which takes 2 ms), and how long the engine lets others pile up after
taking in more than FROM: a storm costs a quarter of its time at most, and the kernel's queue overflows instead, which
is told."""

NOTIFY_WRITTEN_AGAIN_S: Final = 1.0
NOTIFY_WRITTEN_NAMES_MAX: Final = 4096
"""A file that is written to without pause is told of once in this time, for so many files."""

FOLDERS_REBUILD_S: Final = 1.0
FOLDERS_REBUILD_MAX_S: Final = 60.0
"""After changes were lost the watched trees are walked again: after so long, twice as long each time it happens again
soon."""

# --- companion ---------------------------------------------------------------------------------------------------

COMPANION_ANSWER_TIMEOUT_S: Final = 2.0
"""ksmbd's IPC_WAIT_TIMEOUT: a logon or tree connect fails after it, established sessions do not notice."""

COMPANION_QUESTIONS_MAX: Final = 1024
"""Questions waiting for an answer; one more is answered as if the companion were away."""

COMPANION_HEARTBEAT_S: Final = 1.0
"""Interval at which the server makes sure that the companion still listens."""

COMPANION_NOTICE_DELAY_S: Final = 0.1
"""How long the end of a tree or session may wait for a question to travel with; nobody waits for it."""

COMPANION_RESTART_DELAY_FIRST_S: Final = 0.1
COMPANION_RESTART_DELAY_MAX_S: Final = 5.0

# --- the loop -----------------------------------------------------------------------------------------------

LISTEN_BACKLOG: Final = 1024
"""Connections the kernel completes before they are accepted; net.core.somaxconn may lower it."""

ACCEPT_PAUSE_S: Final = 0.25
"""After accept failed for want of descriptors or memory, nothing is accepted for this long, instead of
spinning."""

KEEPALIVE_IDLE_S: Final = 60
KEEPALIVE_INTERVAL_S: Final = 15
KEEPALIVE_PROBES: Final = 4
"""A peer that vanished without a word is noticed after two minutes; its opens and locks are free again
then."""

SEND_SEGMENTS_MAX: Final = 64
"""Segments of one sendmsg; UIO_MAXIOV is 1024, but a kernel copies the vector of each call."""

SEND_BATCH_BYTES: Final = 1 * MIB
"""Bytes of one sendmsg: enough to amortise the call, small enough that progress is seen between calls."""

DISCONNECT_FLUSH_S: Final = 5.0
"""What was queued before a disconnect gets this long to leave."""

DISCONNECT_LINGER_S: Final = 1.0
"""After the last byte the peer gets this long to close; closing while its bytes lie unread would send a
reset, which may destroy the last reply on its way."""

WORKER_THREADS: Final = 4
"""Threads for what the ring cannot do (for all files under epoll); more only queue for the interpreter's
lock."""

INLINE_SLOW_S: Final = 0.020
INLINE_PAUSE_S: Final = 5.0
"""A file system whose calls held the loop for longer than SLOW is left to worker threads for PAUSE: a sick disk is
noticed once in that time, and a busy machine's scheduler does not look like one."""

INLINE_BUDGET_NS: Final = 10_000_000
"""One batch of directory entries is looked at in the loop's own thread for so long; a disk that has to fetch them is
left to a worker before it is called slow."""

INLINE_FREED_BYTES_MAX: Final = 64 * MIB
"""A file's last name or last handle that frees more than this goes in a worker thread: ext4 gives back some GiB a
second."""

INLINE_NAMES_MAX: Final = 4096
"""Names of a directory that are read in the loop's own thread, which takes about 1 ms; a larger one is for a worker."""

RINGS_MAX: Final = 4
"""Ring threads by default: beyond this a network card is busy before they are."""

CREW_THREADS: Final = 2
"""Threads that sign and seal large messages: they wait for work and cost nothing without."""

PERSONALITIES_MAX: Final = 256
"""Identities registered with the ring at a time; the kernel's table holds 65,535, a busy server has
dozens."""

LOOP_WAIT_MAX_S: Final = 1.0
"""Longest sleep of the loop: whoever runs it looks at its own condition at least this often."""

# --- memory ----------------------------------------------------------------------------------------------------

GARBAGE_OBJECTS: Final = 10_000
"""New objects after which the collector looks for cycles.  Hardly anything here makes any: Python's 700 are reached by
every listing, and each of its collections goes through all that a listing holds."""

FREED_BYTES_KEPT: Final = 16 * MIB
"""Freed memory that the C library keeps for the next large buffer: more than one frame of IO_BYTES_MAX."""

# --- shutting down -----------------------------------------------------------------------------------------------

SHUTDOWN_DRAIN_S: Final = 3.0
"""From SIGTERM on, requests under way get this long to finish and be answered; the process ends within 5 s."""

WRITE_TIME_DELAY_S = 2.0
"""After so long a write through an open handle moves the write time that clients are told; as Windows and Samba do."""

assert IO_BYTES_MAX + FRAME_OVERHEAD_BYTES <= FREED_BYTES_KEPT
assert IO_BYTES_MAX + FRAME_OVERHEAD_BYTES <= FRAME_BYTES_MAX
assert SEND_BATCH_BYTES < SEND_QUEUE_BYTES_RESUME
assert SEND_QUEUE_BYTES_RESUME < SEND_QUEUE_BYTES_MAX
assert UNAUTHENTICATED_SEND_QUEUE_BYTES_MAX < SEND_QUEUE_BYTES_RESUME
assert CONNECTIONS_MAX * SESSIONS_UNAUTHENTICATED_MAX < SESSIONS_MAX
assert UNAUTHENTICATED_FRAME_BYTES_MAX > SECURITY_BLOB_BYTES_MAX
assert OPENS_PER_SESSION_MAX <= OPENS_MAX
assert HANDLES_AWAY_PER_OWNER_MAX < HANDLES_AWAY_MAX <= OPENS_MAX // 4
assert SESSIONS_PER_CONNECTION_MAX <= SESSIONS_PER_ADDRESS_MAX < SESSIONS_MAX
assert CHANGES_BYTES_PER_TURN // (16 + NAME_BYTES_MAX + 1) > NOTIFY_REST_FROM
assert COMPANION_HEARTBEAT_S < COMPANION_ANSWER_TIMEOUT_S
