"""A LEAN data folder: zipped CSV per day and contract, as QuantConnect's engine reads it."""
