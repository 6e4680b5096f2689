"""Audio in files: any upload -> Audio, Audio -> the six formats that clients request, and tempo. The only package that uses FFmpeg."""

from open_speech.codecs.blocks import collect
from open_speech.codecs.decode import decode_pcm16
from open_speech.codecs.encode import MEDIA_TYPES, PCM_RATE, Encoder, encoder, file_rate
from open_speech.codecs.isolated import blocks, decode, isolation, stated_seconds, survey
from open_speech.codecs.loudness import loudness
from open_speech.codecs.stream import encode_stream
from open_speech.codecs.time_stretch import Stretcher, stretch
from open_speech.codecs.wav import wav_bytes

__all__ = [
    "MEDIA_TYPES",
    "PCM_RATE",
    "Encoder",
    "Stretcher",
    "blocks",
    "collect",
    "decode",
    "decode_pcm16",
    "encode_stream",
    "encoder",
    "file_rate",
    "isolation",
    "loudness",
    "stated_seconds",
    "stretch",
    "survey",
    "wav_bytes",
]
