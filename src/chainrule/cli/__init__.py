"""The command line. `click` and `rich` are imported here and nowhere else."""
