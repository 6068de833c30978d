"""The FastAPI application: parts, middleware, routers; nothing else.

`uvicorn app.main:app` and `python app/main.py` are the same; the second takes HOST and PORT.
"""

import os
import socket
import sys
from pathlib import Path

if __package__ in (None, ""):  # `python app/main.py` puts app/ on the path, not the project
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    __import__("app")  # refuses an old Python before anything needs a newer one

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import structlog
import uvicorn
from fastapi import Depends, FastAPI

from app.access.oidc import Provider
from app.api.deps import AppParts
from app.api.edge.guard import decided, routes_of
from app.api.edge.local_only import Exposed, check_exposure, open_host
from app.api.edge.middleware import add_middleware
from app.api.openapi import Described, DescribedAPI, describe
from app.api.problems import add_problem_handlers
from app.api.routes.access import api_keys, auth, provider_sign_in, users
from app.api.routes.insight import distribution, events, kpi, overview
from app.api.routes.people import absences, executors, privacy, roster_import
from app.api.routes.rules import parameters, replays, rule_checks, rules
from app.api.routes.system import admin, audit, deliveries, errors, health, metrics, pools
from app.api.routes.work import explanations, misplaced, task_moves, task_stream, tasks
from app.api.strict import nothing_ignored
from app.config import BadSettings, Settings, get_settings
from app.database import TROUBLE, Database
from app.doorbell.doorbell import open_doorbell
from app.local.kept import short
from app.local.own_secrets import with_secret
from app.local.ports import PortTaken, must_be_free, of_uvicorn
from app.services.accounts.callers import Callers
from app.services.accounts.passwords import Passwords
from app.services.accounts.throttle import Throttle
from app.services.common.database_clock import LOOK_SECONDS, DatabaseClock
from app.services.common.loop_reports import REPORT_SECONDS, LoopReporter
from app.services.common.loops import Loops
from app.services.intake.intake import Intake
from app.services.live.event_stream import LiveBoard
from app.services.live.gauges import Gauges
from app.services.live.health import Examination
from app.services.live.notifications import Ticks, WaitingRoom
from app.services.live.overview import Overview
from app.services.live.stream_places import StreamLimits, StreamPlaces
from app.services.pools.directory import PoolDirectory
from app.services.setup.readiness import until_ready
from app.services.tasks.explanations import Previewer
from app.services.tasks.gathered_reads import TaskReader
from app.services.tasks.moves import Lifecycle
from app.telemetry.logs import configure_logging
from app.telemetry.tracing import start_tracing

ROUTERS = (
    tasks,
    task_stream,
    task_moves,
    deliveries,
    explanations,
    roster_import,
    executors,
    absences,
    health,
    metrics,
    errors,
    pools,
    parameters,
    rule_checks,
    rules,
    distribution,
    overview,
    misplaced,
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


log = structlog.get_logger()

_DEVICE_TRIES = 10
"""Wrong passwords taken at once from a device that signed in before; then one a minute."""
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
            looking = asyncio.create_task(until_ready(parts.database, settings, asyncio.sleep))
            try:
                yield
            finally:
                looking.cancel()

    app = DescribedAPI(lifespan=lifespan, **describe())
    routes = routes_of(app, [module.router for module in ROUTERS])
    app.state.described = Described(routes, auth_required=settings.auth_required)
    add_middleware(app, settings, routes)
    add_problem_handlers(app)
    for module in ROUTERS:
        app.include_router(module.router, dependencies=[Depends(decided), Depends(nothing_ignored)])
    return app


@asynccontextmanager
async def _parts(settings: Settings) -> AsyncIterator[AppParts]:
    database = await Database.open(settings)
    doorbell = open_doorbell(settings.redis_url)
    intake = Intake(database.hot, doorbell, batch=settings.intake_batch, queue=settings.intake_queue)
    ticks = Ticks(settings.direct_dsn, doorbell.serving)
    waiting_room = WaitingRoom(ticks, database.hot)
    directory = PoolDirectory(database.hot, settings.default_pool)
    lifecycle = Lifecycle(database.hot, doorbell, deliver=settings.ais_url is not None)
    overview = Overview(database.hot)
    keys = settings.key_ring()
    clock = DatabaseClock()
    callers = Callers(database.hot, keys, settings.metrics_token, clock)
    limits = StreamLimits(settings.event_streams_per_caller, settings.event_streams_per_address)
    live_board = LiveBoard(ticks, database.hot, overview, StreamPlaces(callers, limits), clock)
    provider = _provider(settings)
    loops = Loops()
    reporter = LoopReporter(database.hot, f"api {socket.gethostname()}-{os.getpid()}")
    loops.start("report", reporter.report, pause=REPORT_SECONDS)
    with contextlib.suppress(*TROUBLE):
        await clock.look(database.hot)
    loops.start("database_clock", partial(clock.look, database.hot), pause=LOOK_SECONDS)
    intake.start()
    lifecycle.start()
    ticks.start()
    waiting_room.start()
    live_board.start()
    try:
        examination = Examination(database.hot, doorbell)
        previewer = Previewer(database.hot)
        yield AppParts(
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
            callers=callers,
            keys=keys,
            passwords=Passwords(),
            throttle=Throttle(burst=settings.sign_in_failures, per_minute=settings.sign_in_failures),
            device_throttle=Throttle(burst=_DEVICE_TRIES, per_minute=1),
            begun_throttle=Throttle(burst=_BEGUN_A_MINUTE, per_minute=_BEGUN_A_MINUTE),
            provider=provider,
            lifecycle=lifecycle,
            task_reader=TaskReader(database),
            overview=overview,
            live_board=live_board,
            clock=clock,
        )
    finally:
        live_board.stop()
        await intake.stop()
        await lifecycle.stop()
        await waiting_room.stop()
        await ticks.stop()
        await loops.stop()
        await reporter.close()
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


def _served() -> FastAPI:
    """The application of this process. What keeps it from starting ends the process with one line."""
    try:
        settings = get_settings()
        configure_logging(settings)
        place = of_uvicorn(sys.argv)
        if place:  # before a secret is made: a start that is refused leaves nothing
            must_be_free(*place, "--port")
        settings = with_secret(settings)
        check_exposure(settings, sys.argv)
    except (BadSettings, Exposed, PortTaken) as error:
        sys.exit(f"Cannot start: {error}")
    if settings.auth_required or open_host(settings, sys.argv):
        log.info(
            "sign_in.required",
            first_admin=f"{settings.admin_username}: {_password_place(settings)}",
            local_programs=short(settings.api_key_file),
        )
    return create_app(settings)


def _password_place(settings: Settings) -> str:
    """Where the first admin's password is."""
    file = short(settings.admin_password_file)
    if settings.admin_password is not None:
        return "the password is that of ADMIN_PASSWORD"
    if settings.admin_password_file.exists():
        return f"the password is in {file}"
    return f"the password is where it was chosen; python init_db.py keeps one that it makes in {file}"


def __getattr__(name: str) -> Any:
    """Make `app` when a server asks for it: to import this module must read no settings and keep no secrets."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()["app"] = application = _served()
    return application


def main() -> None:
    """Serve on HOST and PORT."""
    try:
        settings = get_settings()
        must_be_free(settings.host, settings.port, "PORT")
    except (BadSettings, PortTaken) as error:
        sys.exit(f"Cannot start: {error}")
    uvicorn.run(
        "app.main:app",
        host=settings.host,
        port=settings.port,
        http="app.api.edge.http_protocol:BoundedProtocol",
        access_log=False,
    )


if __name__ == "__main__":
    main()
