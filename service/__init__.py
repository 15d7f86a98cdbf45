"""The outside: HTTP, websockets, stores, settings, and the wiring of all parts."""
