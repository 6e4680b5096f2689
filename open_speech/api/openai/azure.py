"""Azure OpenAI's paths, as the `AzureOpenAI` client uses them: `/openai/deployments/{deployment}/audio/…` and `/openai/v1/…`.

A deployment is the id of a model or one of OpenAI's names. `api-version` is accepted and ignored; the key is sent in `api-key`.
Source: Azure OpenAI REST API reference, 2024-10-21 and v1.
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from open_speech.api.openai import speech, transcriptions
from open_speech.api.openai.schemas import SpeechRequest
from open_speech.http.dependencies import EngineDep, SettingsDep
from open_speech.http.json_bodies import JsonRoute
from open_speech.http.uploads import DEPLOYMENT

PREFIX = "/openai/v1/"
DEPLOYMENTS = "/openai/deployments/{" + DEPLOYMENT + ":path}/audio"
"""The name of a deployment may contain slashes, as model ids do."""

router = APIRouter(prefix=DEPLOYMENTS, include_in_schema=False, route_class=JsonRoute)
router.add_api_route("/transcriptions", transcriptions.create_transcription, methods=["POST"])
router.add_api_route("/translations", transcriptions.create_translation, methods=["POST"])


class DeploymentSpeechRequest(SpeechRequest):
    """Body of a speech request whose path names the model."""

    model: str = Field("", description="Ignored: the deployment in the path selects the model.")


@router.post("/speech", response_class=Response)
async def create_deployment_speech(
    deployment: str, body: DeploymentSpeechRequest, request: Request, engine: EngineDep, settings: SettingsDep
) -> Response:
    """Synthesize speech with the model that the path names."""
    return await speech.create_speech(body.model_copy(update={"model": deployment}), request, engine, settings)


class AzurePaths:
    """ASGI middleware that serves `/openai/v1/…` as `/v1/…`. It is outermost, so that keys, limits and logs see one path per endpoint."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request under the path of the corresponding endpoint."""
        if scope["type"] in ("http", "websocket") and scope["path"].startswith(PREFIX):
            scope = {**scope, "path": scope["path"].removeprefix("/openai"), "raw_path": scope["raw_path"].removeprefix(b"/openai")}
        await self._app(scope, receive, send)
