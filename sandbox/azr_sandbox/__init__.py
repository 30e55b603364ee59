"""The jail: runs programs a model wrote inside nsjail, and nowhere else."""
