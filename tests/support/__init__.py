"""The support of the tests: fake upstreams, scripted models, real processes, and builders of valid objects."""
