"""Pages, rendered from result files and from nothing else."""
