"""The shapes of what we answer, shared by the code that answers and by the API's document."""
