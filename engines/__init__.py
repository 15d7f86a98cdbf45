"""Things that draw pictures: one protocol, and one package for each engine behind it."""
