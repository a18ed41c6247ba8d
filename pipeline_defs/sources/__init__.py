"""Where market data comes from: one file or folder per source, each behind the same port.

A source is a class that implements `pipeline_defs.schema.batches.Source`: it says what it is
(`get_metadata`) and turns a request into batches (`fetch`). It knows the schema and the markets' rules,
never the warehouse, the exports or another source.

To add one:

1. Write ``sources/<name>.py``, or a folder ``sources/<name>/`` with an ``adapter.py`` when it needs more
   than one module; configuration is the fields of a frozen dataclass, each with a default.
2. Shift, convert and judge every row there, once: an observation is stamped when it was complete, in UTC;
   a row that is not stored is a reject with a reason, never left out.
3. Add one line to `registry`.
4. Write ``docs/sources/<name>.md`` and the tests in ``pipeline_tests/sources/<name>/``.

The command line, the warehouse and the Dagster assets then know it.
"""
