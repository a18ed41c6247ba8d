"""What every source that is asked over a network shares; an adapter adds only how its vendor is asked.

``questions``   what can be asked: datasets, limits, instruments, windows, and the shape of an answer
``exact``       numbers of a client's reply to exact decimals
``windows``     trade dates that are wanted, cut to what one request may cover
``calling``     one request: the shared rate limit, retries, deadlines, and secrets kept out of every message
``limiting``    rate limits that all processes of the machine share
``answers``     answers kept on disk until their days are stored, so that a killed backfill asks nothing twice
``universe``    which instruments are wanted, from one YAML file
``credentials`` keys and tokens, from the environment only
``judging``     rows of answers to good ones and refused ones, with the reason
``fetching``    what is missing of one dataset, asked and given day by day
``running``     what was completed of a session that is running
``assembling``  the judged rows of one trade date to one batch
``told``        a batch that was made before, as a `Source`
``source``      the `Source` that runs it all
"""
