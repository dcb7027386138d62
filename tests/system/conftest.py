from fixtures import *  # noqa: F403  (fixtures and hooks)
