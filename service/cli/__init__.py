"""The command line: draws, lists and selects pictures through the REST interface alone."""
