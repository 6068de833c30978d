"""What Prometheus reads."""

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST

from app.api.deps import PartsDep
from app.api.strict import StrictRoute
from app.telemetry.metrics import exposition

router = APIRouter(route_class=StrictRoute, tags=["system"])


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}, "description": "The metrics."}},
)
async def get_metrics(parts: PartsDep) -> Response:
    """The metrics of this process and of the whole system, in Prometheus' text format."""
    await parts.gauges.refresh()
    return Response(exposition(), media_type=CONTENT_TYPE_LATEST)
