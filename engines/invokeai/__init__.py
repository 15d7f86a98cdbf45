"""InvokeAI: a server that queues node graphs and keeps what it has drawn."""
