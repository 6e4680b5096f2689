"""GET /metrics: metrics of this process, of other API processes and of the backends, collected at most once a second."""

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
from open_speech.metrics.backends import of_cache, of_clients, of_lines, of_replicas, of_runners
from open_speech.metrics.exposition import Dump
from open_speech.metrics.meter import Meter

log = logging.getLogger("open_speech.metrics")

FRESH_S = 1.0
"""Seconds for which collected metrics are reused, so that frequent scrapes do not load the runners."""
WITHIN_S = 2.0
"""Longest wait for one source, in seconds; the metrics of a source that is late are left out."""

Elsewhere = Callable[[], Awaitable[Dump]]
"""Returns metrics from outside this process's memory. Raises OSError, ValueError, SpeechError, or an error of a runner's link."""

router = APIRouter(tags=["server"])


@router.get("/metrics", response_class=Response)
async def metrics(request: Request) -> Response:
    """Return the metrics of the server in the Prometheus text format."""
    scrape: Scrape = request.app.state.scrape
    return Response(await scrape.text(request.app.state.engine), media_type=CONTENT_TYPE_PLAIN_0_0_4)


class Scrape:
    """Collects the metrics for `/metrics`. Used in one event loop."""

    def __init__(self, meter: Meter, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.sources: dict[str, Elsewhere] = {}
        """Additional sources of metrics by name: other processes that serve APIs, the jobs on disk."""
        self._meter = meter
        self._clock = clock
        self._own = CollectorRegistry()
        ProcessCollector(namespace="open_speech", registry=self._own)
        self._collected_at = float("-inf")
        self._collected: list[Metric] = []
        self._collecting = asyncio.Lock()

    async def text(self, engine: Engine | None) -> bytes:
        """Return all metrics as text. Those of this process are current; the others are at most a second old."""
        async with self._collecting:
            if self._clock() - self._collected_at >= FRESH_S:
                self._collected = await self._collect(engine)
                self._collected_at = self._clock()
        families = exposition.summed([*of_process(self._meter, engine), *self._collected])
        return exposition.text([*families, *exposition.aliases(families), *self._own.collect(), _build()])

    async def _collect(self, engine: Engine | None) -> list[Metric]:
        dumps = asyncio.gather(*(self._read(name, source) for name, source in self.sources.items()))
        states: Mapping[str, Mapping[str, Any]] = {} if engine is None else await engine.pool.status()
        return [*of_runners(states), *of_replicas(states), *(family for dump in await dumps for family in dump)]

    async def _read(self, name: str, source: Elsewhere) -> list[Metric]:
        try:
            async with asyncio.timeout(WITHIN_S):
                return exposition.read(await source())
        except Exception as error:  # noqa: BLE001 - the boundary to another process or a disk: incomplete metrics are better than none
            log.warning("the metrics of %s are missing: %s", name, type(error).__name__)
            return []


def of_process(meter: Meter, engine: Engine | None) -> list[Metric]:
    """Return the metrics in this process's memory."""
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
    build = GaugeMetricFamily("open_speech_build_info", "Which version this is.", labels=("version",))
    build.add_metric((__version__,), 1)
    return build
