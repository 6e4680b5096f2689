"""Long files as jobs on disk: handed in, worked off beside everything else, fetched later. What was accepted survives a restart.

`job.py` is a job as a value, `store.py` keeps it, `workers.py` runs it through `work.py`, `webhooks.py` notifies clients of the end.
"""
