"""What instruments were, by trade date: evidence in, effective-dated terms out.

Only this room and `pipeline_defs.warehouse.instruments` write instruments and their terms. Where statements about terms
come from (dumps, day files, lists of one's own) is the business of `pipeline_defs.sources.terms`.
"""
