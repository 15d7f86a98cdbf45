"""ComfyUI: a server that draws node graphs; ours, or the user's own."""
