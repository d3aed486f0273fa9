"""What a pattern may look like."""

import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.projects import fault


@pytest.mark.parametrize("pattern", ["*", "peakpaws-*", "a?c", "[abc]*", "[!abc]", "[]]", "[!]]x", "a]", "[[]x", "ü-*"])
def test_a_glob_is_accepted(pattern: str) -> None:
    assert fault(pattern) is None


@pytest.mark.parametrize("pattern", ["", "   ", " a", "a ", "[", "[abc", "a[!", "[]", "[!]", "x[]y", "[a]["])
def test_what_would_not_be_matched_as_it_reads_is_refused(pattern: str) -> None:
    problem = fault(pattern)
    assert problem is not None
    assert problem.endswith(".")


@given(st.text("ab]!*", max_size=4), st.text("ab]!*", max_size=4))
def test_a_bracket_that_does_not_close_is_refused(before: str, after: str) -> None:
    # fnmatch escapes one that is not closed: it would match itself, which nobody means.
    pattern = f"{before}[{after}"
    assert (fault(pattern) is None) == ("\\[" not in fnmatch.translate(pattern))
