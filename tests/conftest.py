"""Fixtures that every kind of test may use."""

import os

# Tests run two at a time on two cores, where torch's threads would only wait for each other.
os.environ["OMP_NUM_THREADS"] = "1"

pytest_plugins = ["tests.contract.rgw", "tests.contract.redis", "tests.contract.places"]
