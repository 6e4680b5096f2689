"""Client of an Open Speech server for Python. It needs `httpx` and `websockets`, and nothing of the server.

from open_speech.client import OpenSpeechClient

client = OpenSpeechClient("http://localhost:8100")
print(client.transcribe("lecture.mp3")["text"])
"""

from open_speech.client.async_client import AsyncOpenSpeechClient
from open_speech.client.errors import (
    APIError,
    Conflict,
    ConnectionFailed,
    Forbidden,
    InvalidRequest,
    NotFound,
    OpenSpeechError,
    PlayerFailed,
    ServerFailed,
    ServerTooOld,
    TimedOut,
    TooManyRequests,
    Unauthorized,
)
from open_speech.client.realtime import AsyncRealtimeSession
from open_speech.client.realtime_session import RealtimeSession
from open_speech.client.retry import Retry
from open_speech.client.sync_client import OpenSpeechClient

__all__ = [
    "APIError",
    "AsyncOpenSpeechClient",
    "AsyncRealtimeSession",
    "Conflict",
    "ConnectionFailed",
    "Forbidden",
    "InvalidRequest",
    "NotFound",
    "OpenSpeechClient",
    "OpenSpeechError",
    "PlayerFailed",
    "RealtimeSession",
    "Retry",
    "ServerFailed",
    "ServerTooOld",
    "TimedOut",
    "TooManyRequests",
    "Unauthorized",
]
