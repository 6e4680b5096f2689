"""GET /metrics: this process's figures, those of other doors' processes, and how the backends are, gathered at most once a second."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from starlette.responses import Response

from open_speech import __version__
from open_speech.engine import Engine
from open_speech.metrics import exposition
from open_speech.metrics.backends import of_cache, of_clients, of_lines, of_runners
from open_speech.metrics.exposition import Dump
from open_speech.metrics.meter import Meter

log = logging.getLogger("open_speech.metrics")

FRESH_S = 1.0
"""Seconds for which what was gathered is good: runners are not to be asked at the pace of impatient readers."""
WITHIN_S = 2.0
"""Longest wait for figures from elsewhere, in seconds; without them they are left out."""

Elsewhere = Callable[[], Awaitable[Dump]]
"""Asks for figures that are not in this process's memory. Raises OSError, ValueError or SpeechError, or what a runner's link raises."""

router = APIRouter(tags=["server"])


@router.get("/metrics", response_class=Response)
async def metrics(request: Request) -> Response:
    """Return the metrics of the server in the Prometheus text format."""
    scrape: Scrape = request.app.state.scrape
    return Response(await scrape.text(request.app.state.engine), media_type=CONTENT_TYPE_PLAIN_0_0_4)


class Scrape:
    """Gathers what is told at `/metrics`. One event loop."""

    def __init__(self, meter: Meter, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.elsewhere: dict[str, Elsewhere] = {}
        """What else is asked for figures, by name: other processes that have doors, the jobs on disk."""
        self._meter = meter
        self._clock = clock
        self._own = CollectorRegistry()
        ProcessCollector(namespace="open_speech", registry=self._own)
        self._gathered_at = float("-inf")
        self._gathered: list[Metric] = []
        self._gathering = asyncio.Lock()

    async def text(self, engine: Engine | None) -> bytes:
        """Write all figures. What is of this process is of this moment; the rest is at most a second old."""
        async with self._gathering:
            if self._clock() - self._gathered_at >= FRESH_S:
                self._gathered = await self._gather(engine)
                self._gathered_at = self._clock()
        told = exposition.summed([*of_process(self._meter, engine), *self._gathered])
        return exposition.text([*told, *exposition.aliases(told), *self._own.collect(), _build()])

    async def _gather(self, engine: Engine | None) -> list[Metric]:
        dumps = asyncio.gather(*(self._ask(name, ask) for name, ask in self.elsewhere.items()))
        states: Mapping[str, Mapping[str, Any]] = {} if engine is None else await engine.pool.status()
        return [*of_runners(states), *(family for dump in await dumps for family in dump)]

    async def _ask(self, name: str, ask: Elsewhere) -> list[Metric]:
        try:
            async with asyncio.timeout(WITHIN_S):
                return exposition.read(await ask())
        except Exception as error:  # noqa: BLE001 - the boundary to another process or a disk: figures without its own are better than none
            log.warning("the metrics of %s are missing: %s", name, type(error).__name__)
            return []


def of_process(meter: Meter, engine: Engine | None) -> list[Metric]:
    """Tell what this process knows of itself, without asking anybody."""
    counted = list(meter.figures.registry.collect())
    if engine is None:
        return counted
    clients = engine.pool.clients
    lost = {name: runner.lost for name, runner in clients.items()}
    restarts = {name: runner.restarts for name, runner in clients.items()}
    cache = engine.synthesis.cache
    cached = [] if cache is None else of_cache(cache.hits, cache.misses)
    return [*counted, *of_lines(engine.pool.admission.lines), *of_clients(lost, restarts), *cached]


def _build() -> Metric:
    told = GaugeMetricFamily("open_speech_build_info", "Which version this is.", labels=("version",))
    told.add_metric((__version__,), 1)
    return told
