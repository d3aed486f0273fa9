"""README's example is what the service answers."""

import re
from pathlib import Path

from shared.core import jsontext
from tests.e2e.conftest import Service

README = (Path(__file__).parents[2] / "README.md").read_text()


def test_the_example_of_the_manual(demo: Service) -> None:
    [path] = re.findall(r"'http://127\.0\.0\.1:8000(/costs/[^']+)'", README)
    [example] = re.findall(r"```json\n(.*?)```", README, flags=re.DOTALL)
    shown, answered = jsontext.loads(example), demo.get(path)
    # How far the figures are complete depends on when one asks.
    assert shown["coverage"].pop("complete_until").endswith("Z")
    assert answered["coverage"].pop("complete_until").endswith("Z")
    assert shown == answered
