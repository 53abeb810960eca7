"""Profiles of hypothesis: `ci` gives the same examples in each run, `deep` new ones."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "ci", derandomize=True, deadline=None, database=None, max_examples=30,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)  # fmt: skip
settings.register_profile(
    "deep", settings.get_profile("ci"), derandomize=False, max_examples=20_000
)
settings.load_profile("ci")
