"""What people are told of services without an API: where the figure is, and under which name they find it again."""

import pytest

from shared.core.naming import provider_id
from shared.core.recurring import REPEATS
from shared.providers.services import MANUAL, SERVICES, Service


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.id)
def test_a_service_says_where_its_figure_is_and_where_its_lines_are(service: Service) -> None:
    assert service.provider == provider_id(service.id)
    assert service.guidance.endswith(".")
    assert (service.repeat is None) == (service.day is None)
    assert service.repeat in {None, *REPEATS}
    assert service.repeat is None or service.tracked == MANUAL


def test_plans_recur() -> None:
    plans = {service.id for service in SERVICES if service.repeat == "monthly"}
    assert plans == {"claude-max", "chatgpt", "copilot-seats", "kimi-moderato"}
