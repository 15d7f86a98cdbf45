"""The REST calls, one file for each kind of thing that they are about."""
