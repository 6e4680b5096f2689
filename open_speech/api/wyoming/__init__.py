"""The Wyoming API: speech for Home Assistant and every other client of that protocol, over TCP, a Unix socket or a pipe."""

import warnings

with warnings.catch_warnings():
    # The library prefers Python's own audioop, which is deprecated in Python 3.11 and 3.12.
    warnings.simplefilter("ignore", DeprecationWarning)
    import wyoming.audio  # noqa: F401 - imported for its warning
