"""Settings of all tests."""

from hypothesis import HealthCheck, settings

pytest_plugins = ["slurm", "sge", "queues"]

# How long an example takes says more about the machine than about the code.
settings.register_profile("tilepipe", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("tilepipe")
