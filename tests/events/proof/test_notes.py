"""Keys and signed checkpoints: others' vectors, and nothing but NoteError for what is none."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnlog.events.proof.notes import (
    Checkpoint,
    NoteError,
    PublicKey,
    SignedNote,
    SigningKey,
    open_checkpoint,
)

# From the documentation of Go's golang.org/x/mod/sumdb/note, where the format comes from.
GO_PRIVATE = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
GO_PUBLIC = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngo"
    "tpRZb6KE6RyyBwJnAM=\n"
)
# From C2SP's signed-note.
C2SP_PUBLIC = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
C2SP_NOTE = (
    "This is an example message.\n"
    "\n"
    "\u2014 example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFX"
    "mRKuwHjG1Yu72IneyaQM=\n"
)
KEY = SigningKey("example.com/chat", bytes(range(32)))
CHECKPOINT = Checkpoint("example.com/chat", 4711, bytes(range(32, 64)))
NOTE = KEY.sign(str(CHECKPOINT))


def test_others_keys_and_notes_are_read_and_written_to_the_same_bytes() -> None:
    private, public = SigningKey.parse(GO_PRIVATE), PublicKey.parse(GO_PUBLIC)
    assert private.public == public
    assert (private.secret(), str(public)) == (GO_PRIVATE, GO_PUBLIC)
    text = GO_NOTE.rpartition("\n\n")[0] + "\n"
    assert private.sign(text) == GO_NOTE
    assert SignedNote.parse(GO_NOTE).signed_by([public]) == public
    other = PublicKey.parse(C2SP_PUBLIC)
    assert SignedNote.parse(C2SP_NOTE).signed_by([public, other]) == other


def test_a_checkpoint_comes_back() -> None:
    assert open_checkpoint(NOTE, [KEY.public]) == (CHECKPOINT, KEY.public)
    assert str(CHECKPOINT).splitlines()[:2] == ["example.com/chat", "4711"]
    again = SigningKey.create("example.com/chat")
    assert again.secret() != SigningKey.create("example.com/chat").secret()
    assert SigningKey.parse(again.secret()) == again


def test_signatures_of_others_beside_ours_say_nothing() -> None:
    witness = SigningKey("witness.example", bytes(32))
    cosigned = NOTE + witness.sign("x\n").rpartition("\n\n")[2]
    longer = NOTE + f"\u2014 w {base64.b64encode(bytes(76)).decode()}\n"
    for note in (cosigned, longer):
        assert open_checkpoint(note, [witness.public, KEY.public])[1] == KEY.public
        with pytest.raises(NoteError, match="signed by a known key"):
            open_checkpoint(note, [witness.public])


def test_a_key_of_another_name_does_not_speak_for_this_log() -> None:
    other = SigningKey("example.com/other", KEY.seed)
    note = other.sign(str(CHECKPOINT))
    with pytest.raises(NoteError, match=r"'example.com/chat' signed by a known key"):
        open_checkpoint(note, [other.public, KEY.public])


def test_every_change_of_a_bit_of_a_note_is_refused() -> None:
    stored = NOTE.encode()
    refused = 0
    for place in range(len(stored)):
        for bit in range(8):
            changed = bytearray(stored)
            changed[place] ^= 1 << bit
            try:
                text = changed.decode()
            except UnicodeDecodeError:
                continue
            with pytest.raises(NoteError):
                open_checkpoint(text, [KEY.public])
            refused += 1
    assert refused > 7 * len(stored) - 50


def test_every_change_of_a_bit_of_a_key_is_refused_or_another_key() -> None:
    for text, parse in ((str(KEY.public), PublicKey.parse), (KEY.secret(), SigningKey.parse)):
        for place in range(len(text)):
            for bit in range(7):
                changed = text[:place] + chr(ord(text[place]) ^ 1 << bit) + text[place + 1 :]
                with pytest.raises(NoteError) as caught:
                    parse(changed)  # type: ignore[operator]
                assert text[-20:] not in str(caught.value), "a secret is not repeated"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "expected a signed note"),
        ("a\n1\nx\n", "expected a signed note"),
        (f"a\n1\n{'A' * 44}\n\n\u2014 a b\n", "a signature in base64"),
        ("a\n\n- a b\n", "expected a signature line"),
        ("x" * 20_000, "at most 16384 characters"),
        (KEY.sign("example.com/chat\n007\nx\n"), "size in decimal, found '007'"),
        (KEY.sign("example.com/chat\n-1\nx\n"), "size in decimal"),
        (KEY.sign(f"example.com/chat\n{'9' * 30}\nx\n"), "size in decimal"),
        (KEY.sign("example.com/chat\n1\nx\n"), "a checkpoint's root in base64"),
        (KEY.sign("example.com/chat\n1\nAAAA\n"), "a root of 32 bytes, found 3"),
        (KEY.sign("example.com/chat\n1\n"), "origin, size, root"),
    ],
)
def test_what_is_no_checkpoint(text: str, sentence: str) -> None:
    with pytest.raises(NoteError, match=sentence):
        open_checkpoint(text, [KEY.public])


@pytest.mark.parametrize("name", ["", "two words", "a+b", "line\nfeed", "\x1b[31m", "x" * 201])
def test_names_that_a_key_cannot_have(name: str) -> None:
    with pytest.raises(NoteError, match="without spaces or plus signs"):
        SigningKey.create(name)


def test_a_secret_does_not_show() -> None:
    assert str(list(KEY.seed)) not in repr(KEY)
    assert repr(KEY.seed) not in repr(KEY)


@given(st.text() | st.text(alphabet="ab+=\n \u20141AZ"))
def test_text_that_is_nothing_raises_nothing_else(text: str) -> None:
    for parse in (PublicKey.parse, SigningKey.parse, SignedNote.parse, Checkpoint.parse):
        try:
            parse(text)  # type: ignore[operator]
        except NoteError:
            continue
