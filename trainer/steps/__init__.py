"""How each fitted step is written into a graph: one file for each kind of step."""
