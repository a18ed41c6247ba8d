"""Runs and steps on workers of many machines, by Celery.

Here belongs what a worker and its launcher need beyond dagster-celery; nothing here is imported unless workers are
used.

``broker``    where the broker is, and how both sides speak to it
``signs``     signs of life of a run, kept in Dagster's own database, and the end of a run that can give none
``launcher``  sends a run to a worker, and finds out whether the worker still lives
``app``       what a worker starts with: ``celery -A pipeline_defs.orchestration.workers.app worker``
"""
