"""The skew audit: whether live rows are what training rows are, and if not, what the caller did to them.

Drift asks whether a distribution has moved; it moves for good reasons too. Skew is a mistake of the caller,
and each mistake leaves a mark of its own: values that come back into place when a unit is undone, two fields
that fit each other's history, a clock off by whole hours, and so on. One module knows each mark. It gives
every row a log-likelihood ratio, of the mistake against none; `verdict` says when a client's rows carry too
much of it to be nature. What no mistake explains is left to the drift monitor.
"""
