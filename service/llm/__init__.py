"""The way to llama.cpp's servers that takes the GPU for the length of each reply."""
