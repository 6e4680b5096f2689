"""Realtime over WebRTC by a real client, aiortc, over the loopback: audio both ways, events, who may do what, and hostile clients."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from openai import AsyncOpenAI
from websockets.asyncio.client import connect

from open_speech.app import create_app
from open_speech.audio import Audio, from_pcm16
from open_speech.codecs.wav import wav_bytes
from open_speech.config import Settings
from runners.wiring.engine import local_engine
from tests.waiting import PATIENCE_S, Pace, eventually

pytest.importorskip("aiortc", reason="the extra `webrtc` is not installed")

from aiortc import RTCSessionDescription

from tests.webrtc.caller import KEY, Caller, calling

TEXT = "A sentence that is said and heard."
MANUAL = {"type": "realtime", "audio": {"input": {"turn_detection": None, "transcription": {"model": "whisper-1"}}}}
Serve = Callable[[FastAPI], AbstractContextManager[str]]


def spoken(server: str, text: str) -> Audio:
    body = {"model": "tts-1", "voice": "tone", "input": text, "response_format": "pcm"}
    return from_pcm16(httpx.post(f"{server}/v1/audio/speech", headers=KEY, json=body, timeout=PATIENCE_S).content, 24_000)


def transcript(server: str, audio: Audio) -> str:
    files = {"file": ("heard.wav", wav_bytes(audio))}
    answer = httpx.post(f"{server}/v1/audio/transcriptions", headers=KEY, files=files, data={"model": "whisper-1"}, timeout=PATIENCE_S)
    return str(answer.json()["text"])


def write(caller: Caller, text: str) -> None:
    caller.send("conversation.item.create", item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]})
    caller.send("response.create")


async def open_calls(server: str) -> int:
    async with httpx.AsyncClient(timeout=PATIENCE_S) as http:
        shown = (await http.get(f"{server}/metrics", headers=KEY)).text
    (line,) = [line for line in shown.splitlines() if line.startswith("open_speech_webrtc_calls ")]
    return int(float(line.split()[1]))


def test_speech_is_transcribed_and_answers_are_heard(server: str) -> None:
    async def run() -> None:
        async with calling(server, MANUAL) as caller:
            assert caller.location.startswith("/v1/realtime/calls/rtc_")
            said = await asyncio.to_thread(spoken, server, TEXT)
            caller.microphone.say(said)
            await eventually(lambda: caller.microphone.is_quiet)
            await asyncio.sleep(0.3)
            caller.send("input_audio_buffer.commit")
            completed = await caller.until("conversation.item.input_audio_transcription.completed")
            assert completed["transcript"] == TEXT
            write(caller, TEXT)
            started = await caller.until("output_audio_buffer.started")
            stopped = await caller.until("output_audio_buffer.stopped")
            done = caller.all("response.done")[0]["response"]
            assert started["response_id"] == stopped["response_id"] == done["id"]
            count = len(caller.heard)
            await eventually(lambda: len(caller.heard) > count + 25)  # the end of it is still in the client's jitter buffer
            assert await asyncio.to_thread(transcript, server, caller.audio) == TEXT
            assert not caller.all("response.output_audio.delta")
            assert all("event_id" in event for event in caller.events)

    asyncio.run(run())


def test_the_answer_is_played_by_the_clock_and_silence_otherwise(server: str) -> None:
    async def run() -> None:
        async with calling(server, MANUAL) as caller:
            await eventually(lambda: len(caller.heard) > 10)
            assert abs(caller.audio.samples).max() < 0.01
            write(caller, "One two three four. " * 12)
            await caller.until("output_audio_buffer.started")
            pace = Pace()
            await caller.until("response.done")
            assert not caller.all("output_audio_buffer.stopped"), "the synthesis is ahead of the playback"
            await caller.until("output_audio_buffer.stopped")
            took, length = pace.seconds, (await asyncio.to_thread(spoken, server, "One two three four. " * 12)).seconds
            assert took > length - 0.5

    asyncio.run(run())


@pytest.mark.parametrize("also_cancels", [True, False])
def test_a_client_that_interrupts_hears_nothing_more_and_the_item_is_truncated(server: str, also_cancels: bool) -> None:
    async def run() -> None:
        async with calling(server, MANUAL) as caller:
            write(caller, "One two three four five six. " * 20)
            await caller.until("output_audio_buffer.started")
            await caller.until("response.done")
            await asyncio.sleep(1.0)
            if also_cancels:
                caller.send("response.cancel")  # nothing is generated any more: an error, as at OpenAI
            caller.send("output_audio_buffer.clear")
            await caller.until("output_audio_buffer.cleared")
            await eventually(lambda: abs(caller.heard[-1]).max() < 0.01, within_s=10)  # the answer is far longer
            truncated = await caller.until("conversation.item.truncated")
            assert 800 < truncated["audio_end_ms"] < 2500
            caller.send("conversation.item.retrieve", item_id=truncated["item_id"])
            item = (await caller.until("conversation.item.retrieved"))["item"]
            assert item["content"][0]["transcript"].count("six") < 20
            count = len(caller.heard)
            await eventually(lambda: len(caller.heard) > count + 25)
            assert all(abs(part).max() < 0.01 for part in caller.heard[count:])
            assert not caller.all("output_audio_buffer.stopped")

    asyncio.run(run())


def test_cancelling_a_response_ends_its_playback(server: str) -> None:
    async def run() -> None:
        async with calling(server, MANUAL) as caller:
            write(caller, "One two three four five six. " * 60)  # longer than what may be queued for playback
            await caller.until("output_audio_buffer.started")
            caller.send("response.cancel")
            done = (await caller.until("response.done"))["response"]
            assert (done["status"], done["status_details"]["reason"]) == ("cancelled", "client_cancelled")
            await caller.until("output_audio_buffer.cleared")
            await caller.until("conversation.item.truncated")

    asyncio.run(run())


def test_an_offer_without_candidates_connects(server: str) -> None:
    """What `@openai/agents-realtime` sends: it does not wait for its own candidates."""

    def strip(sdp: str) -> str:
        return "".join(line + "\r\n" for line in sdp.splitlines() if "candidate" not in line)

    async def run() -> None:
        async with calling(server, MANUAL, change=strip) as caller:
            await eventually(lambda: len(caller.heard) > 5)

    asyncio.run(run())


@pytest.mark.parametrize("codec", ["pcmu/8000", "pcma/8000"])
def test_a_client_without_opus_uses_g711(server: str, codec: str) -> None:
    def only(sdp: str) -> str:
        payload = "0" if codec == "pcmu/8000" else "8"
        lines = [line for line in sdp.splitlines() if not line.startswith(("a=rtpmap", "a=fmtp")) or f":{payload} " in line]
        return "".join((f"m=audio 9 UDP/TLS/RTP/SAVPF {payload}" if line.startswith("m=audio") else line) + "\r\n" for line in lines)

    async def run() -> None:
        caller = Caller(server)
        answer = await caller.dial(MANUAL, change=only)
        assert answer.status_code == 201
        assert f"a=rtpmap:{'0 PCMU' if codec == 'pcmu/8000' else '8 PCMA'}/8000" in answer.text
        await caller.close()

    asyncio.run(run())


def test_the_raw_form_takes_the_session_from_the_ephemeral_key(server: str) -> None:
    async def run() -> None:
        async with httpx.AsyncClient(timeout=PATIENCE_S) as http:
            made = (await http.post(f"{server}/v1/realtime/client_secrets", headers=KEY, json={"session": MANUAL})).json()
            other = (await http.post(f"{server}/v1/realtime/client_secrets", headers=KEY, json={"session": MANUAL})).json()
        key, stranger = ({"Authorization": f"Bearer {secret['value']}"} for secret in (made, other))
        async with calling(server, headers=key) as caller, httpx.AsyncClient(timeout=PATIENCE_S) as http:
            assert caller.events[0]["session"]["audio"]["input"]["turn_detection"] is None
            call_id = caller.location.rpartition("/")[2]
            for headers, name in ((stranger, "another ephemeral key"), (key, "its own")):
                async with connect(_ws(server, call_id), additional_headers=headers) as socket:
                    event = json.loads(await socket.recv())
                    assert event["type"] == ("error" if headers is stranger else "session.created"), name
            assert (await http.post(f"{server}{caller.location}/hangup", headers=key)).status_code == 401
            assert (await http.post(f"{server}{caller.location}/hangup", headers=KEY)).status_code == 200
            await eventually(lambda: caller.pc.connectionState == "closed")

    asyncio.run(run())


def test_a_raw_offer_with_a_key_has_the_model_of_the_query(server: str) -> None:
    async def run() -> None:
        async with calling(server, query="?model=tts-1") as caller:
            assert caller.events[0]["session"]["model"] == "tts-1"

    asyncio.run(run())


def test_openais_python_sdk_makes_and_ends_a_call(server: str) -> None:
    async def run() -> None:
        caller = Caller(server)
        async with AsyncOpenAI(base_url=f"{server}/v1", api_key="sesame") as client:
            session: Any = {"type": "realtime", "model": "gpt-realtime"}
            answer = await client.realtime.calls.create(sdp=await caller.offer(), session=session)
            await caller.pc.setRemoteDescription(RTCSessionDescription(answer.text, "answer"))
            created = await caller.until("session.created")
            assert created["session"]["model"] == "gpt-realtime"
            call_id = answer.response.headers["location"].rpartition("/")[2]
            async with client.realtime.connect(call_id=call_id) as attached:
                assert (await attached.recv()).type == "session.created"
                await client.realtime.calls.hangup(call_id)
            await eventually(lambda: caller.pc.connectionState == "closed")
        await caller.close()

    asyncio.run(run())


def _ws(server: str, call_id: str) -> str:
    return f"ws{server.removeprefix('http')}/v1/realtime?call_id={call_id}"


def test_a_second_connection_receives_the_events_and_may_send_some(server: str) -> None:
    async def run() -> None:
        async with calling(server, MANUAL) as caller:
            async with connect(_ws(server, caller.location.rpartition("/")[2]), additional_headers=KEY) as socket:
                assert json.loads(await socket.recv())["type"] == "session.created"
                await socket.send(json.dumps({"type": "session.update", "session": {"type": "realtime", "instructions": "Be kind."}}))
                assert (await caller.until("session.updated"))["session"]["instructions"] == "Be kind."
                write(caller, TEXT)
                kinds = [json.loads(await socket.recv())["type"]]
                while kinds[-1] != "output_audio_buffer.stopped":
                    kinds.append(json.loads(await socket.recv())["type"])
                await caller.until("output_audio_buffer.stopped")
                assert kinds == [event["type"] for event in caller.events[1:]]
                await caller.close()
                async for message in socket:
                    raise AssertionError(message)
            assert socket.close_code == 1000

    asyncio.run(run())


@pytest.mark.parametrize("operation", ["accept", "reject", "refer", "sing"])
def test_operations_of_telephone_calls_do_not_exist(server: str, operation: str) -> None:
    answer = httpx.post(f"{server}/v1/realtime/calls/rtc_1/{operation}", headers=KEY, json={}, timeout=PATIENCE_S)
    assert (answer.status_code, answer.json()["error"]["type"]) == (404, "invalid_request_error")


@pytest.mark.parametrize(
    ("request_", "status", "param"),
    [
        ({"content": b"v=0", "headers": {"Content-Type": "application/sdp"}}, 400, "sdp"),
        ({"content": b"\xff\x00garbage", "headers": {"Content-Type": "application/sdp"}}, 400, "sdp"),
        ({"content": b"v=0\r\n" + b"a=x\r\n" * 20_000, "headers": {"Content-Type": "application/sdp"}}, 400, "sdp"),
        ({"content": b"v=0\r\n" * 300_000, "headers": {"Content-Type": "application/sdp"}}, 413, None),
        ({"content": b"{}", "headers": {"Content-Type": "application/json"}}, 400, None),
        ({"files": {"session": (None, "{}")}}, 400, "sdp"),
        ({"files": {"sdp": (None, "v=0"), "session": (None, "[]")}}, 400, "session"),
        ({"files": {"sdp": (None, "v=0"), "session": (None, '{"type": "opera"}')}}, 400, "session.type"),
        ({"files": {"sdp": (None, "v=0"), "session": (None, '{"voice": "alloy"}')}}, 400, "session.voice"),
        ({"files": {"sdp": (None, "v=0"), "session": (None, "[" * 5000)}}, 400, "session"),
        ({"content": b"--x", "headers": {"Content-Type": "multipart/form-data"}}, 400, None),
        ({"content": b"v=0", "headers": {"Content-Type": "application/sdp", "Authorization": "Bearer wrong"}}, 401, None),
    ],
)
def test_what_is_no_offer_is_refused_with_the_field(server: str, request_: dict[str, Any], status: int, param: str | None) -> None:
    headers = {**KEY, **request_.pop("headers", {})}
    answer = httpx.post(f"{server}/v1/realtime/calls", headers=headers, timeout=PATIENCE_S, **request_)
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)


def test_browsers_may_read_the_location(server: str) -> None:
    answer = httpx.post(f"{server}/v1/realtime/calls", headers={**KEY, "Origin": "https://app.example"}, content=b"", timeout=PATIENCE_S)
    assert "location" in answer.headers["access-control-expose-headers"].lower()


def test_an_event_beyond_the_clients_limit_is_replaced_by_an_error_and_the_call_goes_on(server: str) -> None:
    async def run() -> None:
        async with calling(server, MANUAL) as caller:
            caller.send("session.update", session={"type": "realtime", "instructions": "x" * 70_000})
            assert (await caller.until("error"))["error"]["code"] == "event_too_large"
            caller.send("input_audio_buffer.append", audio="AAAA")
            error = (await caller.until("error", count=2))["error"]
            assert (error["code"], error["param"]) == ("invalid_event", "type")

    asyncio.run(run())


def server_with(serving: Serve, folder: Path, **changes: Any) -> AbstractContextManager[str]:
    settings = Settings(
        os_models_dir=folder, os_api_key="sesame", os_offline=True, stt_backends=("tones-stt",), tts_backends=("tones-tts",),
        stt_model="tones/listen", tts_model="tones/speak", tts_voice="tone", stt_vad_enabled=False,
        os_voice_library_path=folder / "library", **changes,
    )  # fmt: skip
    return serving(create_app(settings, local_engine(settings)))


def test_many_offers_at_once_are_bounded_and_refused_quickly(serving: Serve, tmp_path: Path) -> None:
    async def run(url: str) -> None:
        callers = [Caller(url) for _ in range(50)]
        offers = [await caller.offer() for caller in callers]
        headers = {**KEY, "Content-Type": "application/sdp"}
        async with httpx.AsyncClient(timeout=PATIENCE_S, limits=httpx.Limits(max_connections=50)) as http:
            answers = await asyncio.gather(*(http.post(f"{url}/v1/realtime/calls", headers=headers, content=sdp) for sdp in offers))
            assert sorted(answer.status_code for answer in answers) == [201] * 4 + [429] * 46
            refused = next(answer for answer in answers if answer.status_code == 429)
            assert "OS_WEBRTC_MAX_CALLS" in refused.json()["error"]["message"]
            assert await open_calls(url) == 4
            # Those four never connect: their places are free again after the deadline.
            await eventually(lambda: _is_idle(url))
            assert (await http.post(f"{url}/v1/realtime/calls", headers=headers, content=offers[0])).status_code == 201
        for caller in callers:
            await caller.close()

    with server_with(serving, tmp_path, os_webrtc_max_calls=4, os_webrtc_connect_timeout_s=2.0) as url:
        asyncio.run(run(url))


def test_a_client_that_leaves_or_is_thrown_out_frees_everything(serving: Serve, tmp_path: Path) -> None:
    async def run(url: str) -> None:
        async with calling(url, MANUAL):
            assert await open_calls(url) == 1
        await eventually(lambda: _is_idle(url))
        async with calling(url, MANUAL) as opening:
            for number in range(20):
                opening.pc.createDataChannel(f"channel {number}")
            await eventually(lambda: _is_idle(url))

    with server_with(serving, tmp_path) as url:
        asyncio.run(run(url))


def test_a_client_that_vanishes_ends_its_call(serving: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aioice.ice.CONSENT_INTERVAL", 0.2)  # 5 s, and six failures: half a minute

    async def run(url: str) -> None:
        async with calling(url, MANUAL) as caller:
            ice = caller.pc.sctp.transport.transport._connection
            for protocol in ice._protocols:
                protocol.transport.close()
            await eventually(lambda: _is_idle(url))

    with server_with(serving, tmp_path) as url:
        asyncio.run(run(url))


def test_calls_use_the_ports_and_the_address_of_the_settings(serving: Serve, tmp_path: Path) -> None:
    async def run(url: str) -> None:
        first = Caller(url)
        answer = await first.dial(MANUAL)
        hosts = [line.split() for line in answer.text.splitlines() if line.startswith("a=candidate:")]
        assert hosts
        assert {parts[4] for parts in hosts} == {"192.0.2.77"}
        assert all(47_000 <= int(parts[5]) <= 47_019 for parts in hosts)
        await first.close()

    with server_with(serving, tmp_path, os_webrtc_ports="47000-47019", os_webrtc_addresses=("192.0.2.77",)) as url:
        asyncio.run(run(url))


def test_an_offer_is_refused_while_all_ports_are_in_use(serving: Serve, tmp_path: Path) -> None:
    async def run(url: str) -> None:
        callers = [Caller(url) for _ in range(12)]
        answers = [await caller.dial(MANUAL) for caller in callers]
        assert answers[0].status_code == 201
        assert (answers[-1].status_code, answers[-1].json()["error"]["code"]) == (429, "server_overloaded")
        assert "OS_WEBRTC_PORTS" in answers[-1].json()["error"]["message"]
        for caller in callers:
            await caller.close()

    with server_with(serving, tmp_path, os_webrtc_ports="47100-47102") as url:
        asyncio.run(run(url))


def test_calls_can_be_switched_off(serving: Serve, tmp_path: Path) -> None:
    for number, change in enumerate(({"os_webrtc_enabled": False}, {"os_realtime_enabled": False})):
        with server_with(serving, tmp_path / str(number), **change) as url:
            headers = {**KEY, "Content-Type": "application/sdp"}
            answer = httpx.post(f"{url}/v1/realtime/calls", headers=headers, content=b"v=0", timeout=PATIENCE_S)
            assert answer.status_code == 404
            assert next(iter(change)).upper() in answer.json()["error"]["message"]


def test_without_the_extra_the_error_names_it(serving: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aiortc", None)  # Python then says that there is no such package
    with server_with(serving, tmp_path) as url:
        headers = {**KEY, "Content-Type": "application/sdp"}
        answer = httpx.post(f"{url}/v1/realtime/calls", headers=headers, content=b"v=0", timeout=PATIENCE_S)
        assert answer.status_code == 501
        assert answer.json()["error"]["code"] == "not_installed"
        assert "open-speech[webrtc]" in answer.json()["error"]["message"]


async def _is_idle(url: str) -> bool:
    return await open_calls(url) == 0
