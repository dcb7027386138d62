from staging import *  # noqa: F403  (fixtures and hooks)
