"""Training, in plain torch: what is learned (objectives), from what (order), and the loop.

Nothing here knows a graph. A run is a function of its recipe, its data and its seed: every random
number of a step is drawn from the seed and the step's number (`chance`), so a run that was stopped
and goes on from its last saved state ends where one that never stopped ends.
"""
