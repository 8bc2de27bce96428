"""Stand-ins that the tests play against: a fake upstream, a scripted model, valid objects."""
