"""The FastAPI application: parts, middleware, routers; nothing else. `uvicorn app.main:app`."""

import gc
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI

from app.api import (
    absences,
    admin,
    api_keys,
    audit,
    auth,
    deliveries,
    distribution,
    events,
    executors,
    explanations,
    health,
    kpi,
    lifecycle,
    metrics,
    overview,
    parameters,
    pools,
    privacy,
    provider_sign_in,
    replays,
    roster_import,
    rule_checks,
    rules,
    task_stream,
    tasks,
    users,
)
from app.api.deps import Parts
from app.api.guard import decided, routes_of
from app.api.middleware import add_middleware
from app.api.openapi import Described, DescribedAPI, describe
from app.api.problems import add_problem_handlers
from app.api.stance import check_exposure
from app.config import Settings, get_settings
from app.database import Database
from app.logs import configure_logging
from app.oidc import Provider
from app.queue import open_doorbell
from app.services.callers import Callers
from app.services.directory import PoolDirectory
from app.services.explanations import Previewer
from app.services.gauges import Gauges
from app.services.health import Examination
from app.services.intake import Intake
from app.services.lifecycle import Lifecycle
from app.services.live import LiveBoard
from app.services.overview import Overview
from app.services.passwords import Passwords
from app.services.throttle import Throttle
from app.services.ticks import Ticks, WaitingRoom
from app.tracing import start_tracing

ROUTERS = (
    tasks,
    task_stream,
    lifecycle,
    deliveries,
    explanations,
    roster_import,
    executors,
    absences,
    health,
    metrics,
    pools,
    parameters,
    rule_checks,
    rules,
    distribution,
    overview,
    events,
    kpi,
    auth,
    provider_sign_in,
    users,
    api_keys,
    audit,
    replays,
    privacy,
    admin,
)


_BEGUN_A_MINUTE = 300
"""Sign-ins by the provider that an address may begin in a minute; a dashboard's people all come from one."""


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application on these settings, or on the environment's; connects when it starts to serve."""
    settings = settings or get_settings()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        configure_logging(settings)
        check_exposure(settings, sys.argv)
        if settings.tracing:
            start_tracing("api")
        async with _parts(settings) as parts:
            app.state.parts = parts
            gc.freeze()  # what is loaded now lives as long as the process: spare the collector from walking it
            yield

    app = DescribedAPI(lifespan=lifespan, **describe())
    routes = routes_of(app, [module.router for module in ROUTERS])
    app.state.described = Described(routes, auth_required=settings.auth_required)
    add_middleware(app, settings, routes)
    add_problem_handlers(app)
    for module in ROUTERS:
        app.include_router(module.router, dependencies=[Depends(decided)])
    return app


@asynccontextmanager
async def _parts(settings: Settings) -> AsyncIterator[Parts]:
    database = await Database.open(settings)
    doorbell = open_doorbell(settings.redis_url)
    intake = Intake(database.hot, doorbell, batch=settings.intake_batch, queue=settings.intake_queue)
    ticks = Ticks(settings.dsn, doorbell.serving)
    waiting_room = WaitingRoom(ticks, database.hot)
    directory = PoolDirectory(database.hot, settings.default_pool)
    lifecycle = Lifecycle(database.hot, doorbell, deliver=settings.ais_url is not None)
    overview = Overview(database.hot)
    live_board = LiveBoard(ticks, database.hot, overview)
    provider = _provider(settings)
    intake.start()
    lifecycle.start()
    ticks.start()
    waiting_room.start()
    live_board.start()
    try:
        examination = Examination(database.hot, doorbell)
        previewer = Previewer(database.hot)
        keys = settings.key_ring()
        yield Parts(
            settings=settings,
            database=database,
            doorbell=doorbell,
            directory=directory,
            intake=intake,
            ticks=ticks,
            waiting_room=waiting_room,
            examination=examination,
            gauges=Gauges(database.hot),
            previewer=previewer,
            callers=Callers(database.hot, keys, settings.metrics_token),
            keys=keys,
            passwords=Passwords(),
            throttle=Throttle(burst=settings.sign_in_failures, per_minute=settings.sign_in_failures),
            begun_throttle=Throttle(burst=_BEGUN_A_MINUTE, per_minute=_BEGUN_A_MINUTE),
            provider=provider,
            lifecycle=lifecycle,
            overview=overview,
            live_board=live_board,
        )
    finally:
        live_board.stop()
        await intake.stop()
        await lifecycle.stop()
        await waiting_room.stop()
        await ticks.stop()
        if provider is not None:
            await provider.close()
        await doorbell.close()
        await database.close()


def _provider(settings: Settings) -> Provider | None:
    if settings.oidc_issuer is None:
        return None
    secret = settings.oidc_client_secret
    return Provider(
        issuer=settings.oidc_issuer,
        client_id=settings.oidc_client_id,
        client_secret=secret.get_secret_value() if secret else None,
        scopes=settings.oidc_scopes,
    )


app = create_app()
