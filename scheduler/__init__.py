"""Which picture steps next, on which GPU, and what becomes of every job."""
