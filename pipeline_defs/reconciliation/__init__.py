"""The same contract-day from two sources, compared with tolerances: a report, never a correction.

What belongs here: the tolerances, the statements that compare, the exchange's daily file as referee, and the reading of
what was found. Whose rows an export takes is `pipeline_defs.warehouse.precedence`; Dagster's assets and checks are in
`pipeline_defs.orchestration`.
"""
