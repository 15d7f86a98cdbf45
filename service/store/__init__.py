"""Where jobs, pictures and the catalogue are kept."""
