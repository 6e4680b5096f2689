from __future__ import annotations

import re

import pytest

from open_speech.webrtc.offers import EVENT_BYTES, InvalidOffer, answer_sdp, read_offer

FINGERPRINT = "a=fingerprint:sha-256 " + ":".join(["AB"] * 32)
CHROMIUM = "\r\n".join(
    [
        "v=0", "o=- 4611731400430051336 2 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE 0 1", "a=extmap-allow-mixed",
        "a=msid-semantic: WMS", "m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126", "c=IN IP4 0.0.0.0", "a=rtcp:9 IN IP4 0.0.0.0",
        "a=candidate:1 1 udp 2122262783 3a7b-4c1d.local 51234 typ host generation 0",
        "a=candidate:2 1 udp 2122262783 192.168.1.7 51234 typ host generation 0", "a=ice-ufrag:Yx1z", "a=ice-pwd:aaaaaaaaaaaaaaaaaaaaaaaa",
        "a=ice-options:trickle", FINGERPRINT, "a=setup:actpass", "a=mid:0", "a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level",
        "a=sendrecv", "a=msid:- 1f0b", "a=rtcp-mux", "a=rtcp-rsize", "a=rtpmap:111 opus/48000/2", "a=fmtp:111 minptime=10;useinbandfec=1",
        "a=rtpmap:63 red/48000/2", "a=rtpmap:9 G722/8000", "a=rtpmap:0 PCMU/8000", "a=rtpmap:8 PCMA/8000", "a=rtpmap:13 CN/8000",
        "a=rtpmap:110 telephone-event/48000", "a=rtpmap:126 telephone-event/8000", "a=ssrc:1234 cname:x",
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "c=IN IP4 0.0.0.0", "a=ice-ufrag:Yx1z",
        "a=ice-pwd:aaaaaaaaaaaaaaaaaaaaaaaa", "a=ice-options:trickle", FINGERPRINT, "a=setup:actpass", "a=mid:1", "a=sctp-port:5000",
        "a=max-message-size:262144", "",
    ]
)  # fmt: skip


def changed(old: str, new: str) -> str:
    assert old in CHROMIUM
    return CHROMIUM.replace(old, new)


def test_the_offer_of_a_browser_is_reduced_to_what_a_call_needs() -> None:
    offer = read_offer(CHROMIUM, keeps_candidates=False)
    assert (offer.codec, offer.has_channel, offer.max_event_bytes) == ("opus", True, EVENT_BYTES)
    lines = offer.sdp.splitlines()
    assert "m=audio 9 UDP/TLS/RTP/SAVPF 111" in lines
    assert [line for line in lines if line.startswith("a=rtpmap")] == ["a=rtpmap:111 opus/48000/2"]
    assert not [line for line in lines if "candidate" in line or "red" in line or "fmtp" in line]
    assert len([line for line in lines if line == FINGERPRINT]) == 2


def test_kept_candidates_have_addresses_and_no_host_names() -> None:
    kept = [line for line in read_offer(CHROMIUM, keeps_candidates=True).sdp.splitlines() if "candidate" in line]
    assert kept == ["a=candidate:2 1 udp 2122262783 192.168.1.7 51234 typ host"]


def test_line_ends_without_carriage_return_are_read() -> None:
    assert read_offer(CHROMIUM.replace("\r\n", "\n"), keeps_candidates=False) == read_offer(CHROMIUM, keeps_candidates=False)


@pytest.mark.parametrize(
    ("payloads", "codec"), [("0 8", "pcmu"), ("8 0", "pcma"), ("0 111", "opus"), ("126 8", "pcma")],
)  # fmt: skip
def test_opus_is_preferred_and_else_the_first_g711(payloads: str, codec: str) -> None:
    offer = read_offer(changed("SAVPF 111 63 9 0 8 13 110 126", f"SAVPF {payloads}"), keeps_candidates=False)
    assert offer.codec == codec
    assert len([line for line in offer.sdp.splitlines() if line.startswith("a=rtpmap")]) == 1


def test_g711_needs_no_rtpmap() -> None:
    text = re.sub(r"a=rtpmap[^\r]*\r\n", "", changed("111 63 9 0 8 13 110 126", "0"))
    assert "a=rtpmap:0 PCMU/8000" in read_offer(text, keeps_candidates=False).sdp


@pytest.mark.parametrize(("stated", "limit"), [("0", EVENT_BYTES), ("1000", 1000), ("999999999", EVENT_BYTES)])
def test_the_limit_on_messages_is_the_clients_but_never_more_than_64_kib(stated: str, limit: int) -> None:
    assert read_offer(changed("max-message-size:262144", f"max-message-size:{stated}"), keeps_candidates=False).max_event_bytes == limit


def test_an_offer_without_data_channels_is_accepted() -> None:
    text = CHROMIUM[: CHROMIUM.index("m=application")].replace("BUNDLE 0 1", "BUNDLE 0")
    assert not read_offer(text, keeps_candidates=False).has_channel


VIDEO = "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:2\r\na=rtcp-mux\r\na=rtpmap:96 VP8/90000\r\n"
BAD = {
    "nothing": "",
    "garbage": "hello",
    "binary": "v=0\r\n\x00\x01",
    "no equals sign": CHROMIUM + "xyz\r\n",
    "too long": CHROMIUM + "a=x:1\r\n" * 20_000,
    "too many lines": CHROMIUM + "a=x\r\n" * 1001,
    "a long line": CHROMIUM + "a=" + "x" * 3000 + "\r\n",
    "no audio": "v=0\r\na=group:BUNDLE 1\r\n" + CHROMIUM[CHROMIUM.index("m=application") :],
    "two audio lines": CHROMIUM + VIDEO.replace("video", "audio"),
    "video": CHROMIUM + VIDEO,
    "five m-lines": CHROMIUM + VIDEO * 3,
    "too many candidates": CHROMIUM + "a=candidate:1 1 udp 1 10.0.0.1 1 typ host\r\n" * 40,
    "no fingerprint": CHROMIUM.replace(FINGERPRINT + "\r\n", ""),
    "no password": re.sub("a=ice-pwd[^\r]*\r\n", "", CHROMIUM),
    "no multiplexing of RTCP": changed("a=rtcp-mux\r\n", ""),
    "plain RTP": changed("m=audio 9 UDP/TLS/RTP/SAVPF", "m=audio 9 RTP/AVP"),
    "a client that only listens": changed("a=sendrecv", "a=recvonly"),
    "no known codec": changed("111 63 9 0 8 13 110 126", "63 9"),
    "payload types that are no numbers": changed("111 63 9 0 8 13 110 126", "x"),
    "payload types beyond 127": changed("111 63 9 0 8 13 110 126", "111 300"),
    "a malformed m-line": changed("m=audio 9 UDP/TLS/RTP/SAVPF", "m=audio"),
    "an m-line that is off": changed("m=application 9", "m=application 0"),
    "no mid": changed("a=mid:1\r\n", ""),
    "the same mid twice": changed("a=mid:1", "a=mid:0"),
    "no bundle": changed("a=group:BUNDLE 0 1\r\n", ""),
    "a bundle of others": changed("BUNDLE 0 1", "BUNDLE 0 1 2"),
    "no port of SCTP": changed("a=sctp-port:5000\r\n", ""),
    "a wrong port of SCTP": changed("sctp-port:5000", "sctp-port:99999"),
    "a size that is no number": changed("262144", "many"),
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD.keys())
def test_an_offer_that_is_no_call_is_rejected_with_the_reason(text: str) -> None:
    with pytest.raises(InvalidOffer) as rejected:
        read_offer(text, keeps_candidates=False)
    assert (rejected.value.param, rejected.value.code) == ("sdp", "invalid_offer")


def test_a_malformed_candidate_is_rejected_where_candidates_are_used() -> None:
    text = changed("a=candidate:2 1 udp 2122262783 192.168.1.7 51234 typ host generation 0", "a=candidate:2 1 udp x")
    assert read_offer(text, keeps_candidates=False)
    with pytest.raises(InvalidOffer):
        read_offer(text, keeps_candidates=True)


ANSWER = "\r\n".join(
    ["m=audio 9 x 111", "a=candidate:a 1 udp 10 10.0.0.5 4000 typ host", "a=candidate:b 1 udp 9 fd00::2 4001 typ host",
     "a=candidate:c 1 udp 8 127.0.0.1 4002 typ host", "a=candidate:d 1 udp 7 1.2.3.4 5 typ relay raddr 10.0.0.5 rport 4000", ""]
)  # fmt: skip


def test_the_answer_states_the_advertised_address_with_the_ports_of_the_server() -> None:
    lines = [line for line in answer_sdp(ANSWER, ["203.0.113.9"]).split("\r\n") if "candidate" in line]
    assert lines == [
        "a=candidate:a0 1 udp 10 203.0.113.9 4000 typ host",
        "a=candidate:d 1 udp 7 1.2.3.4 5 typ relay raddr 10.0.0.5 rport 4000",
    ]
    both = answer_sdp(ANSWER, ["203.0.113.9", "2001:db8::1"])
    assert "203.0.113.9 4000" in both
    assert "2001:db8::1 4001" in both
    assert answer_sdp(ANSWER, []) == ANSWER
