"""Failures of the comparison show both sides."""

import pytest

pytest.register_assert_rewrite("tests.machine.checks", "tests.machine.world")
