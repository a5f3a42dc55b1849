"""OGC API - Processes in front of tilepipe: jobs, workers and their progress."""
