"""How hypothesis draws: the same examples each run, so that a change is judged by the change alone.

Look for new ones with ``pytest --hypothesis-profile=explore``. A slow machine fails none of them.
"""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings

_ANY_MACHINE: Any = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("steady", derandomize=True, **_ANY_MACHINE)
settings.register_profile("explore", max_examples=2_000, **_ANY_MACHINE)
settings.load_profile("steady")
