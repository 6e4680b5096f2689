"""The containers and codecs that FFmpeg may read: an allowlist of those in common use. Nothing else of FFmpeg runs on an upload."""

from __future__ import annotations

DEMUXERS = (
    "aac", "ac3", "aiff", "amr", "asf", "au", "avi", "caf", "dts", "eac3", "flac", "flv", "matroska", "mov", "mp3", "mpc8", "mpeg",
    "mpegts", "mxf", "ogg", "tta", "w64", "wav", "wv",
)  # fmt: skip
"""FFmpeg's names of the containers. `mov` is MP4, M4A, 3GP and QuickTime; `matroska` includes WebM; `asf` is WMA and WMV; `mpeg` is VOB."""

DECODERS = frozenset(
    {
        # What recorders, phones and browsers write
        "aac", "alac", "amrnb", "amrwb", "flac", "libopus", "mp1", "mp1float", "mp2", "mp2float", "mp3", "mp3float", "opus", "speex",
        "vorbis",
        # Film and broadcast
        "aac_latm", "ac3", "dca", "eac3", "mlp", "pcm_bluray", "pcm_dvd", "s302m", "truehd",
        # Windows Media
        "wmalossless", "wmapro", "wmav1", "wmav2", "wmavoice",
        # Flash
        "adpcm_swf", "nellymoser",
        # Lossless archives
        "mpc8", "tta", "wavpack",
        # Telephony
        "adpcm_ima_qt", "adpcm_ima_wav", "adpcm_ms", "adpcm_yamaha", "g722", "g723_1", "g726", "g726le", "gsm", "gsm_ms", "ilbc",
        # PCM
        "pcm_alaw", "pcm_f32be", "pcm_f32le", "pcm_f64be", "pcm_f64le", "pcm_mulaw", "pcm_s16be", "pcm_s16le", "pcm_s24be", "pcm_s24le",
        "pcm_s32be", "pcm_s32le", "pcm_s8", "pcm_u8",
    }
)  # fmt: skip
"""FFmpeg's names of the decoders."""

CLOCKED = ("asf", "avi", "flv", "matroska", "mov", "mpeg", "mpegts", "mxf", "ogg")
"""Containers with a timestamp for each frame. In the others FFmpeg counts the time from the frames before."""
JOINED = ("mpeg", "mpegts")
"""Broadcast streams: recordings are joined by appending one to the other, so timestamps may jump there."""

TRUSTED_DURATION = ("flac", "matroska", "mov", "ogg")
"""Containers whose duration is written or indexed when they are finished. The size in a streamed WAV, AIFF, AU or W64 header is a
placeholder, and FFmpeg estimates the duration of the others from their bit rate."""
STATES_DURATION = (*TRUSTED_DURATION, "aiff", "asf", "avi", "caf", "mp3", "mxf", "tta", "w64", "wav", "wv")
"""Containers whose duration is good enough to show progress."""


def is_one_of(name: str, formats: tuple[str, ...]) -> bool:
    """Return whether a container is in a list; FFmpeg's name for it may consist of several, separated by commas."""
    return not set(name.split(",")).isdisjoint(formats)
