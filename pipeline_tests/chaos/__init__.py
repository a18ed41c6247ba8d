"""Everything that goes wrong at night, made on purpose: a small world, several processes, faults, and what must hold.

``points``      step boundaries at which a process may die
``faults``      the list of faults, and where each is tested
``database``    a server of one's own that can be restarted, cut off, slowed down, flooded
``world``       what there is to import and to publish, and what it must look like in the end
``vendor``      an API whose answers follow from symbol and day
``operations``  what processes do
``processes``   forked servers that have imported everything: a process costs milliseconds
``readers``     those who look on all the time
``invariants``  what must hold when the faults have stopped and everything was simply run again
``planning``    a seed becomes a schedule
``running``     a schedule becomes an outcome
"""
