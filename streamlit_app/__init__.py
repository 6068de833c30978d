"""The dashboard: what a team lead sees and does, over the API and nothing else."""
