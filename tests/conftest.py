"""Fixtures that every kind of test may use."""

import os
import signal

# Tests run two at a time on two cores, where torch's threads would only wait for each other.
os.environ["OMP_NUM_THREADS"] = "1"

# A shell that starts the tests in the background has Ctrl-C ignored by all that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = ["tests.contract.rgw", "tests.contract.redis", "tests.contract.places"]
