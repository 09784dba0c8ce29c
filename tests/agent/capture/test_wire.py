"""Packets on a pipe: whole, in order, or none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_agent.capture.wire import FAILED, HEADER, SOUND, Packet, pack, say, unpack

PACKETS = st.builds(
    Packet,
    st.just(SOUND),
    st.binary(max_size=50),
    st.integers(0, 2**32 - 1),
    st.floats(0, 1e9),
    st.booleans(),
)


@given(st.lists(PACKETS, max_size=6), st.integers(1, 40))
def test_what_is_written_comes_out_in_any_pieces(
    packets: list[Packet], size: int
) -> None:
    raw = b"".join(map(pack, packets))
    held, found = bytearray(), []
    for at in range(0, len(raw), size):
        held += raw[at : at + size]
        while (packet := unpack(held)) is not None:
            found.append(packet)
    assert found == packets
    assert not held


def test_words_are_json() -> None:
    packet = unpack(bytearray(say(FAILED, {"error": "gone", "missing": False})))
    assert packet is not None
    assert packet.json() == {"error": "gone", "missing": False}


@pytest.mark.parametrize(
    "raw",
    [b"Traceback (most recent call last)", HEADER.pack(SOUND, False, 2**31, 0, 0.0)],
)
def test_nonsense_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match="is no packet"):
        unpack(bytearray(raw))
