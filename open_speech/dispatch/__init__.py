"""Calls to the runners: admission, the client of a runner process, and the frames between the two processes."""
