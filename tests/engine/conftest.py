"""The engine's properties hold for large teams as for small ones."""

from collections.abc import Iterator

import pytest

from app.engine.placement import scores


@pytest.fixture(scope="module", params=["small team", "large team"])
def team_size(request: pytest.FixtureRequest) -> Iterator[None]:
    """The worlds that are invented are small: as a large team they are placed by scores in 32 bits as well."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "large team":
            patch.setattr(scores, "_MANY", 1)
        yield
