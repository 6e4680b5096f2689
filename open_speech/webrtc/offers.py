"""Offers and answers as text (SDP, RFC 8866): checks, and the parts that are passed on. Pure.

An offer is untrusted text. It is checked here, line by line, and rebuilt from the lines that a call needs, before aiortc parses it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from open_speech.errors import InvalidRequest

MAX_CHARS = 65_536
"""Maximum characters of an offer. Those of browsers, with audio only, have 2000 to 8000."""
MAX_LINES, LINE_CHARS = 1000, 2048
MAX_MEDIA = 4
"""Maximum m-lines, with those that are switched off (port 0)."""
MAX_CANDIDATES = 32
MAX_PAYLOADS = 64
"""Maximum payload types of the audio."""
EVENT_BYTES = 65_536
"""Maximum bytes of a message to a client that states no limit (RFC 8841)."""

_CODECS = ("opus/48000/2", "pcmu/8000", "pcma/8000", "pcmu/8000/1", "pcma/8000/1")
_STATIC = {"0": "PCMU/8000", "8": "PCMA/8000"}
"""Payload types that need no rtpmap (RFC 3551)."""
_COMMON = ("group", "msid-semantic", "fingerprint", "ice-ufrag", "ice-pwd", "setup")
_MEDIA = (*_COMMON, "mid", "rtcp-mux", "sendrecv", "sendonly", "recvonly", "inactive", "ssrc", "msid", "extmap")
_DATA = (*_COMMON, "mid", "sctp-port", "sctpmap", "max-message-size")


class InvalidOffer(InvalidRequest):
    """The SDP offer is invalid, or does not offer what a call needs."""

    code = "invalid_offer"


@dataclass(frozen=True, slots=True)
class Offer:
    """A checked offer."""

    sdp: str
    """The offer with the lines that a call needs, and no candidates unless they were kept."""
    codec: str
    """The codec of the audio in both directions: `opus`, `pcmu` or `pcma`. It is the only one in `sdp`."""
    has_channel: bool
    """Whether the client offers data channels."""
    max_event_bytes: int
    """The longest message that the client receives."""


@dataclass(slots=True)
class _Media:
    line: str
    attributes: list[str] = field(default_factory=list)

    @property
    def kind(self) -> str:
        return self.line.partition(" ")[0]

    @property
    def is_off(self) -> bool:
        return self.line.split(" ")[1] == "0"

    def values(self, name: str) -> list[str]:
        return [text.partition(":")[2] for text in self.attributes if text.partition(":")[0] == name]


def read_offer(text: str, *, keeps_candidates: bool) -> Offer:
    """Check an offer; return it with only the lines that a call needs. Raises InvalidOffer.

    Without `keeps_candidates` its candidates are removed. The client then connects to the addresses in the answer, and nothing is sent to
    an address from which no valid check has arrived. Candidates with host names are always removed: to resolve them is outgoing traffic.
    """
    lines = _lines(text)
    session, media = _split(lines)
    active = [part for part in media if not part.is_off]
    audio = [part for part in active if part.kind == "audio"]
    data = [part for part in active if part.kind == "application"]
    if len(audio) != 1 or len(data) > 1 or len(active) != len(audio) + len(data):
        raise _invalid("The offer must have exactly one audio m-line, and beside it at most one m-line, for data channels.")
    if len(media) != len(active):
        raise _invalid("The offer has an m-line that is switched off (port 0). Create a new peer connection for each call.")
    names = [value for part in media for value in part.values("mid")[:1]]
    if len(names) != len(media) or len(set(names)) != len(names) or not all(map(_is_token, names)):
        raise _invalid("Each m-line of the offer needs an `a=mid` of its own.")
    if len(media) > 1 and not any(set(value.split(" ")) == {"BUNDLE", *names} for value in _Media("", session).values("group")):
        raise _invalid("The offer must bundle its m-lines: `a=group:BUNDLE` with the `mid` of each.")
    rebuilt = ["v=0", "o=- 0 0 IN IP4 127.0.0.1", "s=-", "t=0 0", *_kept(session, _COMMON, names)]
    payload, codec = _codec(audio[0])
    for part in media:
        rebuilt += (
            _audio(part, payload, codec, names) if part.kind == "audio" else [_data_line(part), *_kept(part.attributes, _DATA, names)]
        )
        rebuilt += _candidates(part) if keeps_candidates else []
    return Offer("\r\n".join(rebuilt) + "\r\n", codec.partition("/")[0].lower(), bool(data), _event_bytes(data))


def answer_sdp(answer: str, addresses: Sequence[str], *, recovers: bool = False) -> str:
    """Return the answer as the client receives it. With `addresses`, they replace the server's own in its host candidates.

    An address of the loopback is then left out. Each of `addresses` is stated once for each port. With `recovers`, the client is asked to
    add a copy of the last packet to each packet of Opus (RFC 7587), which costs some of its bit rate only if packets are lost.
    """
    lines: list[str] = []
    stated: set[tuple[str, str]] = set()
    for line in answer.split("\r\n"):
        if recovers and line.startswith("a=rtpmap:") and " opus/" in line:
            payload = line.removeprefix("a=rtpmap:").partition(" ")[0]
            lines += [line, f"a=fmtp:{payload} minptime=10;useinbandfec=1"]
            continue
        if not addresses:
            lines.append(line)
            continue
        parts = line.split(" ")
        if not line.startswith("a=candidate:") or parts[7] != "host":
            lines.append(line)
            continue
        own = ipaddress.ip_address(parts[4])
        for number, address in enumerate(addresses):
            is_same_kind = ipaddress.ip_address(address).version == own.version
            if is_same_kind and not own.is_loopback and (address, parts[5]) not in stated:
                stated.add((address, parts[5]))
                foundation = f"{parts[0]}{number}"  # candidates of one foundation share their address
                lines.append(" ".join([foundation, *parts[1:4], address, *parts[5:]]))
    return "\r\n".join(lines)


def _lines(text: str) -> list[str]:
    if len(text) > MAX_CHARS:
        raise _invalid(f"The offer is longer than {MAX_CHARS} characters.")
    lines = [line for line in text.replace("\r\n", "\n").split("\n") if line]
    if not lines or lines[0] != "v=0":
        raise _invalid("The offer is not SDP: its first line must be `v=0`.")
    if len(lines) > MAX_LINES or any(len(line) > LINE_CHARS for line in lines):
        raise _invalid(f"The offer has more than {MAX_LINES} lines, or a line longer than {LINE_CHARS} characters.")
    if any(len(line) < 2 or line[1] != "=" or not line.isascii() or not line.isprintable() for line in lines):
        raise _invalid("The offer is not SDP: each line must be a letter, `=` and printable ASCII.")
    return lines


def _split(lines: Iterable[str]) -> tuple[list[str], list[_Media]]:
    session: list[str] = []
    media: list[_Media] = []
    for line in lines:
        if line.startswith("m="):
            part = _Media(line[2:])
            if len(part.line.split(" ")) < 4 or not part.line.split(" ")[1].isdecimal():
                raise _invalid("An m-line of the offer is malformed.")
            media.append(part)
        elif line.startswith("a="):
            (media[-1].attributes if media else session).append(line[2:])
    if len(media) > MAX_MEDIA:
        raise _invalid(f"The offer has more than {MAX_MEDIA} m-lines.")
    if sum(len(part.values("candidate")) for part in media) > MAX_CANDIDATES:
        raise _invalid(f"The offer has more than {MAX_CANDIDATES} candidates.")
    for part in media:
        for name in ("ice-ufrag", "ice-pwd", "fingerprint"):
            if not part.values(name) and not _Media("", session).values(name):
                raise _invalid(f"The offer has no `a={name}`.")
    return session, media


def _kept(attributes: Iterable[str], names: Sequence[str], mids: Sequence[str]) -> list[str]:
    kept = []
    for text in attributes:
        name, _, value = text.partition(":")
        if name not in names:
            continue
        if name == "group" and [part for part in value.split(" ")[1:] if part not in mids]:
            raise _invalid("The offer's `a=group` names an m-line that does not exist.")
        kept.append(f"a={text}")
    return kept


def _codec(part: _Media) -> tuple[str, str]:
    """Return the payload type and the codec to use: Opus if it is offered, else the first G.711."""
    payloads = part.line.split(" ")[3:]
    if len(payloads) > MAX_PAYLOADS or not all(payload.isdecimal() and int(payload) < 128 for payload in payloads):
        raise _invalid("The audio of the offer has invalid payload types.")
    known = {payload: _STATIC[payload] for payload in payloads if payload in _STATIC}
    for value in part.values("rtpmap"):
        payload, _, codec = value.partition(" ")
        if payload in payloads and codec.lower() in _CODECS:
            known[payload] = codec
    if not known:
        raise _invalid("The audio of the offer has no codec of this server: Opus, PCMU or PCMA.")
    chosen = next((payload for payload, codec in known.items() if codec.lower().startswith("opus")), next(iter(known)))
    return chosen, known[chosen]


def _audio(part: _Media, payload: str, codec: str, mids: Sequence[str]) -> list[str]:
    port, profile = part.line.split(" ")[1:3]
    if "RTP/SAVP" not in profile or "rtcp-mux" not in part.attributes:
        raise _invalid("The audio of the offer must be SRTP with `a=rtcp-mux`.")
    directions = {"sendrecv", "sendonly", "recvonly", "inactive"} & set(part.attributes)
    if not directions <= {"sendrecv"}:
        raise _invalid("The audio of the offer must be `sendrecv`: the client speaks and listens.")
    return [f"m=audio {port} {profile} {payload}", f"a=rtpmap:{payload} {codec}", *_kept(part.attributes, _MEDIA, mids)]


def _data_line(part: _Media) -> str:
    port, profile, *formats = part.line.split(" ")[1:]
    is_old = profile == "DTLS/SCTP" and len(formats) == 1 and formats[0].isdecimal() and len(formats[0]) <= 5
    if not is_old and (profile != "UDP/DTLS/SCTP" or formats != ["webrtc-datachannel"]):
        raise _invalid("The m-line for data channels must be `UDP/DTLS/SCTP webrtc-datachannel`.")
    ports = part.values("sctp-port")
    if not is_old and (len(ports) != 1 or not ports[0].isdecimal() or not 0 < int(ports[0]) < 65_536):
        raise _invalid("The m-line for data channels needs an `a=sctp-port`.")
    return f"m=application {port} {profile} {formats[0]}"


def _candidates(part: _Media) -> list[str]:
    kept = []
    for value in part.values("candidate"):
        fields = value.split(" ")
        if len(fields) < 8 or not all(number.isdecimal() for number in (fields[1], fields[3], fields[5])):
            raise _invalid("A candidate of the offer is malformed.")
        if fields[2].lower() == "udp" and fields[7] in ("host", "srflx", "relay") and _is_address(fields[4]):
            kept.append(f"a=candidate:{' '.join(fields[:8])}")
    return kept


def _event_bytes(data: Sequence[_Media]) -> int:
    stated = data[0].values("max-message-size") if data else []
    if stated and not (stated[0].isdecimal() and len(stated[0]) <= 19):
        raise _invalid("The offer's `a=max-message-size` is not a number.")
    # 0 means any size. Longer messages than EVENT_BYTES block all others in some browsers.
    return min(EVENT_BYTES, int(stated[0]) or EVENT_BYTES) if stated else EVENT_BYTES


def _is_token(text: str) -> bool:
    return 0 < len(text) <= 64 and " " not in text


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _invalid(message: str) -> InvalidOffer:
    return InvalidOffer(message, param="sdp")
