"""Makes the recorded lab, a module beside the tests, known to them."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def answering():
    from recorded_lab import Answering, facts

    return Answering(facts())
