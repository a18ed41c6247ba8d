"""The gap ledger: what each session should hold, what is stored, why the rest is not, and how to fill it.

Hours and refused rows are gathered here, gaps are found in the database (`assess_session` in `sql/common`). What a
source can give again is asked of `sources`; importing goes through `warehouse.loading`, as ever. No Dagster in here.
"""
