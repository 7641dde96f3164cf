"""One logon attempt: security blobs in and out, and a question for an account in between.

Knows: that NTLM comes in SPNEGO or raw.  Must not know: SESSION_SETUP, sessions, accounts' storage, delays.

    step(token) -> Challenge      the client has to send more
    step(token) -> NeedAccount    look the account up, then one of finish, finish_anonymous, finish_guest

Whatever goes wrong raises AuthenticationFailed, and the attempt is over.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final, NoReturn

from smbd_uring.crypto.ntlm import AuthenticateRequest, NtlmAcceptor, NtlmResult
from smbd_uring.crypto.ntlm_keys import KEY_BYTES, NO_KEY
from smbd_uring.crypto.ntlm_messages import MalformedNtlm, NtlmError
from smbd_uring.crypto.spnego import SpnegoAcceptor, SpnegoError, is_raw_ntlmssp

_NOBODYS_HASH: Final = bytes(KEY_BYTES)
"""What a response is checked against where there is no account, so that it takes as long as where there is
one."""


class AuthenticationFailed(Exception):  # noqa: N818 - an outcome, not a mistake
    """The client did not prove who it is; str() says why, for the log and not for the client."""


class MalformedToken(AuthenticationFailed):
    """What the client sent is no token at all, or one that breaks off."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """The client has to answer this token; the exchange goes on (STATUS_MORE_PROCESSING_REQUIRED)."""

    token: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class NeedAccount:
    """Who the client says it is.  `user` is empty for an anonymous one."""

    user: str
    domain: str
    anonymous: bool


@dataclass(frozen=True, slots=True)
class Success:
    """The logon is done.  `token` goes to the client (empty where the exchange was raw NTLM), `session_key`
    has 16 bytes, all zero for anonymous and guest logons, which never sign."""

    token: bytes = field(repr=False)
    session_key: bytes = field(repr=False)
    user: str
    domain: str
    anonymous: bool = False


class _State(Enum):
    """Each step or finish leads forward; any failure leads to OVER."""

    FIRST_TOKEN = auto()
    NEGOTIATING = auto()
    ACCOUNT_NEEDED = auto()
    OVER = auto()


class Authentication:
    """One logon attempt on one session."""

    def __init__(
        self, server_name: str, domain_name: str, dns_server_name: str = "", dns_domain_name: str = ""
    ) -> None:
        """The server's names as clients are told them ([MS-NLMP] 2.2.2.1); DNS names may be left out."""
        self._ntlm = NtlmAcceptor(server_name, domain_name, dns_server_name, dns_domain_name)
        self._spnego: SpnegoAcceptor | None = None
        self._state = _State.FIRST_TOKEN
        self._mech_list_mic: bytes | None = None
        self._request: AuthenticateRequest | None = None

    def step(self, token: memoryview, server_challenge: bytes, now_filetime: int) -> Challenge | NeedAccount:
        """Take the client's next security blob.

        `server_challenge` are 8 random bytes, used if this step sends a challenge; `now_filetime` is the time
        in 100 ns since 1601.  AuthenticationFailed when the blob is malformed, out of turn or refused.
        """
        if self._state not in (_State.FIRST_TOKEN, _State.NEGOTIATING):
            self._fail("a token where none belongs")
        try:
            return self._step(token, server_challenge, now_filetime)
        except (SpnegoError, MalformedNtlm) as error:
            self._fail(str(error), MalformedToken)
        except NtlmError as error:
            self._fail(str(error))

    def finish(self, nt_hash: bytes | None) -> Success:
        """Check the client's proof against the account's NT hash (16 bytes).

        None for an account that is not there, or a hash of another size, which an account without a password
        may have: fails, in the time that a wrong password takes.
        """
        request = self._take_request()
        known_hash = nt_hash if nt_hash is not None and len(nt_hash) == KEY_BYTES else None
        try:
            result = request.verify(known_hash or _NOBODYS_HASH)
        except MalformedNtlm as error:
            self._fail(str(error), MalformedToken)
        except NtlmError as error:
            self._fail(str(error))
        if known_hash is None:
            self._fail("no such account, or none with a password")
        token = self._final_token(request, result)
        return Success(token, result.session_key, request.user, request.domain)

    def finish_anonymous(self) -> Success:
        """Let a client in that asked to be nobody.  AuthenticationFailed when it claimed to be somebody."""
        request = self._take_request()
        try:
            result = request.accept_anonymous()
        except NtlmError as error:
            self._fail(str(error))
        token = self._final_token(request, result)
        return Success(token, NO_KEY, request.user, request.domain, anonymous=True)

    def finish_guest(self) -> Success:
        """Let a client in whose account is mapped to guest, whatever its password; nothing is proved to it."""
        request = self._take_request()
        token = self._spnego.accept(None) if self._spnego is not None else b""
        return Success(token, NO_KEY, request.user, request.domain)

    def _step(self, token: memoryview, server_challenge: bytes, now_filetime: int) -> Challenge | NeedAccount:
        mechanism_token = self._unwrap(token)
        if mechanism_token is None:
            assert self._spnego is not None
            return Challenge(self._spnego.challenge(None))
        if not self._ntlm.has_challenged:
            answer = self._ntlm.challenge(bytes(mechanism_token), server_challenge, now_filetime)
            return Challenge(answer if self._spnego is None else self._spnego.challenge(answer))
        request = self._request = self._ntlm.authenticate(mechanism_token)
        self._state = _State.ACCOUNT_NEEDED
        return NeedAccount(request.user, request.domain, request.anonymous)

    def _unwrap(self, token: memoryview) -> memoryview | None:
        """The NTLM message in a blob.  None only for a first blob that brings none this server can use."""
        is_first = self._state is _State.FIRST_TOKEN
        self._state = _State.NEGOTIATING
        if is_first and not is_raw_ntlmssp(token):
            self._spnego = SpnegoAcceptor()
        if self._spnego is None:
            return token
        step = self._spnego.step(token)
        if step.mech_list_mic is not None:
            self._mech_list_mic = bytes(step.mech_list_mic)
        if step.mechanism_token is None and not is_first:
            raise SpnegoError("a token with nothing for the mechanism")
        return step.mechanism_token

    def _final_token(self, request: AuthenticateRequest, result: NtlmResult) -> bytes:
        """The last blob, once the client's mechListMIC was checked.

        The client must have sent one where its favourite mechanism was not taken (RFC 4178 section 5) and
        where it protected NTLM's messages by a MIC ([MS-SPNG] <8>).
        """
        if self._spnego is None:
            return b""
        mic = self._mech_list_mic
        if mic is None:
            if self._spnego.mic_required or request.carries_mic:
                self._fail("no mechListMIC")
            return self._spnego.accept(None)
        if not result.session.verify_mechlist(self._spnego.mech_types, mic):
            self._fail("wrong mechListMIC: the list of mechanisms was changed on its way")
        return self._spnego.accept(result.session.sign_mechlist(self._spnego.mech_types))

    def _take_request(self) -> AuthenticateRequest:
        if self._state is not _State.ACCOUNT_NEEDED or self._request is None:
            self._fail("the client has not said who it is")
        self._state = _State.OVER
        return self._request

    def _fail(self, reason: str, kind: type[AuthenticationFailed] = AuthenticationFailed) -> NoReturn:
        self._state = _State.OVER
        raise kind(reason) from None
