"""Keys come out as Microsoft published them, and as other implementations derive them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from impacket.crypto import KDF_CounterMode

from smbd_uring.crypto.keys import (
    PreauthIntegrity,
    derive_channel_signing_key,
    derive_key,
    derive_session_keys,
)
from smbd_uring.wire.const import CipherId, Dialect
from tests.unit.crypto import windows_handshake as windows

KEY_3_0 = bytes.fromhex("7CD451825D0450D235424E44BA6E78CC")
KEY_3_1_1 = bytes.fromhex("270E1BA896585EEB7AF3472D3B4C75A7")
PREAUTH_3_1_1 = bytes.fromhex(
    "0DD13628CC3ED218EF9DF9772D436D0887AB9814BFAE63A80AA845F36909DB79"
    "28622DDDAD522D9751640A459762C5A9D6BB084CBB3CE6BDADEF5D5BCE3C6C01"
)


def test_the_keys_of_a_3_0_session_are_the_published_ones() -> None:
    keys = derive_session_keys(Dialect.SMB_3_0, KEY_3_0, KEY_3_0, CipherId.AES_128_CCM, b"")
    assert keys.signing_key.hex().upper() == "0B7E9C5CAC36C0F6EA9AB275298CEDCE"
    assert keys.application_key.hex().upper() == "BB23A4575AA26C721AF525AF15A87B4F"
    # published from the client's side: what it encrypts with, the server decrypts with
    assert keys.decryption_key.hex().upper() == "FAD27796665B313EBB578F388632B4F7"
    assert keys.encryption_key.hex().upper() == "B0F0427F7CEB416D1D9DCC0CD4F99447"
    assert keys.session_key == KEY_3_0


def test_the_keys_of_a_3_1_1_session_are_the_published_ones() -> None:
    keys = derive_session_keys(
        Dialect.SMB_3_1_1, KEY_3_1_1, KEY_3_1_1, CipherId.AES_128_GCM, PREAUTH_3_1_1
    )
    assert keys.signing_key.hex().upper() == "73FE7A9A77BEF0BDE49C650D8CCB5F76"
    assert keys.application_key.hex().upper() == "6D7AD7954E9EC61E907B4D473DC178FF"
    assert keys.decryption_key.hex().upper() == "629BCBC54422A0F572B97F45989B6073"
    assert keys.encryption_key.hex().upper() == "E2AF0DCEFAC68DA71A0DFBD0D1350D74"


def test_a_second_channel_signs_with_the_published_key() -> None:
    key = bytes.fromhex("4E01A2B313BCF660CC250BEF021AEDE6")
    assert derive_channel_signing_key(Dialect.SMB_3_0, key, b"").hex().upper() == (
        "BA1A17DBBFEC349BCA105563D598952F"
    )


def test_the_preauth_hash_of_the_published_logon_is_the_published_one() -> None:
    preauth = PreauthIntegrity()
    preauth.update(windows.NEGOTIATE_REQUEST)
    preauth.update(windows.NEGOTIATE_RESPONSE)
    of_session = preauth.copy()
    for message in (windows.FIRST_REQUEST, windows.FIRST_RESPONSE, windows.LAST_REQUEST):
        of_session.update(memoryview(message))
    assert of_session.value == PREAUTH_3_1_1
    assert preauth.value.hex().upper().startswith("324BFA92A4F3A190E466EBEA08D9C110")


@pytest.mark.parametrize("dialect", [Dialect.SMB_2_0_2, Dialect.SMB_2_1])
def test_before_3_0_the_session_key_itself_signs(dialect: Dialect) -> None:
    keys = derive_session_keys(dialect, KEY_3_0, KEY_3_0, None, b"")
    assert keys.signing_key == keys.application_key == keys.session_key == KEY_3_0
    assert keys.encryption_key == keys.decryption_key == b""


def test_without_a_cipher_there_are_no_cipher_keys() -> None:
    keys = derive_session_keys(Dialect.SMB_3_1_1, KEY_3_1_1, KEY_3_1_1, None, PREAUTH_3_1_1)
    assert keys.encryption_key == keys.decryption_key == b""
    assert keys.signing_key.hex().upper() == "73FE7A9A77BEF0BDE49C650D8CCB5F76"


@pytest.mark.parametrize("cipher", [CipherId.AES_256_CCM, CipherId.AES_256_GCM])
def test_a_256_bit_cipher_takes_the_whole_key_and_leaves_the_signing_key_short(cipher: CipherId) -> None:
    full = bytes(range(32))
    keys = derive_session_keys(Dialect.SMB_3_1_1, full[:16], full, cipher, PREAUTH_3_1_1)
    assert keys.encryption_key == derive_key(full, b"SMBS2CCipherKey\0", PREAUTH_3_1_1, 256)
    assert keys.decryption_key == derive_key(full, b"SMBC2SCipherKey\0", PREAUTH_3_1_1, 256)
    assert keys.signing_key == derive_key(full[:16], b"SMBSigningKey\0", PREAUTH_3_1_1, 128)
    assert len(keys.encryption_key) == 32
    assert len(keys.signing_key) == 16


def test_a_short_session_key_is_padded_and_a_long_one_cut() -> None:
    short = derive_session_keys(Dialect.SMB_2_1, b"abc", b"abc", None, b"")
    assert short.session_key == b"abc" + bytes(13)
    long = derive_session_keys(Dialect.SMB_2_1, bytes(range(32)), bytes(range(32)), None, b"")
    assert long.session_key == bytes(range(16))


def test_keys_do_not_show_when_printed() -> None:
    keys = derive_session_keys(Dialect.SMB_2_1, KEY_3_0, KEY_3_0, None, b"")
    assert repr(keys) == "SessionKeys()"


@given(
    st.binary(min_size=16, max_size=16),
    st.binary(min_size=1, max_size=16),
    st.binary(min_size=1, max_size=64),
)
def test_impacket_derives_the_same(key: bytes, label: bytes, context: bytes) -> None:
    assert derive_key(key, label, context, 128) == KDF_CounterMode(key, label, context, 128)
