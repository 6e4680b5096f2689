"""Jobs for long files: stored on disk, processed in the background, with results to download later. Accepted jobs survive a restart.

`job.py` is a job as a value, `store.py` stores it, `workers.py` runs it through `work.py`, and `webhooks.py` notifies clients of its end.
"""
